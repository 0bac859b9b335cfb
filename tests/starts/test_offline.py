"""``scripts/batch`` on a cluster: results, a bad picture, a run that was killed and is repeated, S3."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import obstore
import pytest
from obstore.store import from_url

from tests.support.nodes import Nodes
from tests.support.pictures import decoded, encoded, photo, wire, with_text
from tests.support.s3 import s3_server
from tests.support.service import ROOT

PIXELS, REGION = with_text(photo(320, 240))


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with s3_server() as environment:  # of the nodes, which is where the pictures are read
        made = Nodes(tmp_path_factory.mktemp("ray"), environment | {"IOPAINT_FAKE_UNIT_S": "0.3"}, cpus=2)
        try:
            yield made
        finally:
            made.close()


def command(nodes: Nodes, source: str, target: str, regions: Path, model: str = "cv2") -> list[str]:
    return [str(ROOT / "scripts" / "batch"), source, target, str(regions), "--model", model, "--address", nodes.address]


def batch(nodes: Nodes, source: str, target: str, regions: Path, model: str = "cv2") -> tuple[int, str]:
    done = subprocess.run(
        command(nodes, source, target, regions, model), capture_output=True, text=True, timeout=250, check=False,
        env=nodes.environment,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_folder_and_again(nodes: Nodes, tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c.png"):
        (source / name).write_bytes(encoded(PIXELS))
    (source / "broken.png").write_bytes(b"\x89PNG and nothing more")
    (source / "notes.txt").write_text("not an image")
    regions = tmp_path / "regions.json"
    regions.write_text(json.dumps({"*": [wire(REGION)], "b.png": []}))
    target = tmp_path / "out"
    status, said = batch(nodes, str(source), str(target), regions)
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
    status, said = batch(nodes, str(source), str(target), regions)
    assert (status, "1 done, 0 failed, 2 done before" in said) == (0, True), said
    assert (target / "a.png.png").read_bytes() == b"kept", "what is there is not done again"


def test_a_run_that_is_killed_is_completed_by_repeating_it(nodes: Nodes, tmp_path: Path) -> None:
    source, target, regions = tmp_path / "in", tmp_path / "out", tmp_path / "regions.json"
    source.mkdir()
    for number in range(12):
        (source / f"{number:02}.png").write_bytes(encoded(PIXELS))
    regions.write_text(json.dumps({"*": [wire(REGION)]}))
    run = subprocess.Popen(
        command(nodes, str(source), str(target), regions, "fake"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=nodes.environment | {"FORCE_COLOR": "1"},  # as on a terminal
    )  # fmt: skip
    end = time.monotonic() + 200
    while len(done := list(target.glob("*.png"))) < 2:
        assert time.monotonic() < end, "no result"
        time.sleep(0.05)
    run.kill()
    said = run.communicate()[0].decode()
    assert "/12" in said, f"no bar: {said}"
    before = {path.name: path.stat().st_mtime_ns for path in done}
    status, told = batch(nodes, str(source), str(target), regions, "fake")
    assert status == 0, told
    assert len(list(target.glob("*.png"))) == 12
    assert {name: (target / name).stat().st_mtime_ns for name in before} == before, "what was there is kept"
    report = json.loads((target / "report.json").read_text())
    assert report["done"] + report["done_before"] == 12
    assert 2 <= report["done_before"] < 12


def test_from_and_to_s3(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in nodes.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    obstore.put(from_url("s3://archive/in"), "x.png", encoded(PIXELS))
    regions = tmp_path / "regions.json"
    regions.write_text(json.dumps({"*": [wire(REGION)]}))
    status, said = batch(nodes, "s3://archive/in", "s3://archive/out", regions)
    assert status == 0, said
    assert not np.array_equal(decoded(bytes(obstore.get(from_url("s3://archive/out"), "x.png.png").bytes())), PIXELS)
