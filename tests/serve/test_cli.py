"""The command line as typed, against the real service."""

import json
import os
import subprocess
from pathlib import Path

import iopaint_client as sdk
import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import encoded, photo, with_text
from tests.support.service import ROOT, Service

PIXELS, REGION = with_text(photo(640, 480))
TYPED = f"{REGION.x},{REGION.y},{REGION.width},{REGION.height}"
_FAR_APART = [sdk.Rect(20 + 400 * (i % 5), 20 + 250 * (i // 5), 10, 10) for i in range(40)]


def run(
    *arguments: str, url: str = "", folder: Path = ROOT, wanted: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(ROOT / "scripts" / "iopaint-serve"), *arguments],
        cwd=folder,
        env=os.environ | {"IOPAINT_URL": url, "COLUMNS": "150"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == wanted, done.stdout + done.stderr
    return done


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(PIXELS))
    return path


def test_remove(service: Service, image: Path) -> None:
    """From another folder, through a link, as `iopaint-serve` in .venv/bin is one."""
    done = run("remove", "photo.png", "--region", TYPED, "-o", "out.webp", url=service.url, folder=image.parent)
    assert "out.webp: cv2" in done.stdout
    with Image.open(image.parent / "out.webp") as made:
        assert (made.format, made.size) == ("WEBP", (640, 480))
    mask = image.with_name("mask.png")
    mask.write_bytes(encoded(np.zeros((480, 640), np.uint8) + 255 * (np.indices((480, 640))[0] < 9).astype(np.uint8)))
    run("remove", str(image), "--mask", str(mask), url=service.url)
    assert image.with_name("photo-clean.png").exists()
    found = run("remove", str(image), "-o", str(image.with_name("found.png")), url=service.url)
    assert "found.png" in found.stdout
    told = run("remove", str(image), "-r", TYPED, "--mask-mode", "strokes", "--json", url=service.url).stdout
    assert json.loads(told)["model"] == "cv2"
    run(
        "remove",
        str(image),
        "-r",
        TYPED,
        "--set",
        "output=mask",
        "-o",
        "mask-of-it.png",
        url=service.url,
        folder=image.parent,
    )
    assert set(np.unique(np.asarray(Image.open(image.with_name("mask-of-it.png"))))) == {0, 255}
    refused = run("remove", str(image), "-r", "9000,9000,5,5", url=service.url, wanted=1)
    assert refused.stderr.startswith("Error: regions[0]")


def test_what_is_detected_can_be_removed_as_it_was_printed(service: Service, image: Path) -> None:
    _, corners = run("detect", str(image), url=service.url).stdout.splitlines()[0].split("  ")
    run("remove", str(image), "--region", corners, url=service.url)
    changed = (np.asarray(Image.open(image.with_name("photo-clean.png"))) != PIXELS).any(axis=2)
    assert changed.any()
    told = json.loads(run("detect", str(image), "--json", "--set", "min_score=0.99999", url=service.url).stdout)
    assert told == []


def test_batch_goes_on_where_it_was(service: Service, image: Path) -> None:
    folder = image.parent / "many"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.jpg").write_bytes(encoded(photo(300, 200, seed=number), "JPEG"))
    (folder / "broken.png").write_bytes(encoded(PIXELS)[:900])
    (folder / "notes.txt").write_text("no picture")
    special = image.parent / "regions.json"
    special.write_text(json.dumps({"3.jpg": [{"points": [[5, 5], [60, 5], [30, 40]]}]}))
    arguments = ("batch", str(folder), "-r", "10,10,60,20", "--regions", str(special), "--format", "jpeg")
    first = run(*arguments, url=service.url, wanted=1)
    assert "5 cleaned, 1 failed" in first.stdout
    assert "broken.png" in first.stderr
    out = folder.with_name("many-clean")
    assert sorted(path.name for path in out.iterdir()) == [f"{number}.jpg" for number in range(5)]
    (out / "2.jpg").unlink()
    (folder / "broken.png").unlink()
    assert "1 cleaned, 0 failed" in run(*arguments, url=service.url).stdout
    (out / "4.jpg").unlink()
    assert json.loads(run(*arguments, "--json", url=service.url).stdout)["cleaned"] == {"4.jpg": str(out / "4.jpg")}


def test_tasks_watch_cancel_result(service: Service, tmp_path: Path) -> None:
    with sdk.Client(service.url) as client:
        long = client.submit(encoded(photo(2000, 2000), "JPEG", quality=20), _FAR_APART, model="fake")
        assert long.id in run("tasks", url=service.url).stdout
        assert long.id in json.loads(run("tasks", "--json", url=service.url).stdout)["queue"]["active_task_ids"]
        assert "cancelled" in run("cancel", long.id, url=service.url).stdout
        watched = run("watch", long.id, url=service.url, wanted=1)
        lines = run("watch", long.id, "--json", url=service.url, wanted=1).stdout.splitlines()
        assert json.loads(lines[-1])["status"] == "cancelled"
        assert "was cancelled" in watched.stderr
        short = client.submit(PIXELS, [sdk.Rect(REGION.x, REGION.y, REGION.width, REGION.height)], model="fake")
    assert f"{short.id}: completed" in run("watch", short.id, url=service.url).stdout
    run("result", short.id, "-o", str(tmp_path / "out.png"), url=service.url)
    assert (tmp_path / "out.png").stat().st_size > 1000
    assert "There is no task" in run("watch", "nobody", url=service.url, wanted=1).stderr


def test_the_doctor_knows_its_service(service: Service, tmp_path: Path) -> None:
    port = service.url.rpartition(":")[2]
    shown = run("doctor", IOPAINT_PORT=port, IOPAINT_MODEL="cv2", TASK_ARCHIVE_URL=str(tmp_path / "archive")).stdout
    assert "this service answers, healthy" in shown
