"""``scripts/batch`` on a cluster of its own: results, a bad picture, a run that is repeated."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import obstore
import pytest
from obstore.store import from_url

from tests.support.pictures import decoded, encoded, photo, wire, with_text
from tests.support.s3 import s3_server
from tests.support.service import ROOT

PIXELS, REGION = with_text(photo(320, 240))


def batch(source: str, target: str, regions: Path, environment: dict[str, str]) -> tuple[int, str]:
    command = [str(ROOT / "scripts" / "batch"), source, target, str(regions), "--model", "cv2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_folder_and_again(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c.png"):
        (source / name).write_bytes(encoded(PIXELS))
    (source / "broken.png").write_bytes(b"\x89PNG and nothing more")
    (source / "notes.txt").write_text("not an image")
    regions = tmp_path / "regions.json"
    regions.write_text(json.dumps({"*": [wire(REGION)], "b.png": []}))
    target = tmp_path / "out"
    status, said = batch(str(source), str(target), regions, dict(os.environ))
    assert status == 1, said
    assert "broken.png: " in said
    assert "2 done, 1 failed, 0 done before" in said
    report = json.loads((target / "report.json").read_text())
    assert (report["done"], report["failed"], report["without_regions"]) == (2, 1, 1)
    assert {image["name"] for image in report["images"]} == {"a.png", "broken.png", "sub/c.png"}
    out = decoded((target / "sub" / "c.png.png").read_bytes())
    assert not np.array_equal(out, PIXELS)
    assert np.array_equal(out[:40], PIXELS[:40])

    (source / "broken.png").write_bytes(encoded(PIXELS))
    (target / "a.png.png").write_bytes(b"kept")
    status, said = batch(str(source), str(target), regions, dict(os.environ))
    assert (status, "1 done, 0 failed, 2 done before" in said) == (0, True), said
    assert (target / "a.png.png").read_bytes() == b"kept", "what is there is not done again"


def test_from_and_to_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        obstore.put(from_url("s3://archive/in"), "x.png", encoded(PIXELS))
        regions = tmp_path / "regions.json"
        regions.write_text(json.dumps({"*": [wire(REGION)]}))
        status, said = batch("s3://archive/in", "s3://archive/out", regions, dict(os.environ))
        assert status == 0, said
        out = decoded(bytes(obstore.get(from_url("s3://archive/out"), "x.png.png").bytes()))
    assert not np.array_equal(out, PIXELS)
