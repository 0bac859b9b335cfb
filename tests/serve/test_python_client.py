"""The Python client against the real service: the same story blocking and awaited."""

import asyncio
import itertools
import re
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import iopaint_client as sdk
import numpy as np
import pytest

from models.masks import regions_to_mask
from tests.support.pictures import encoded, photo, with_text
from tests.support.proxy import prefixed
from tests.support.service import ROOT, Service, free_port

PIXELS, REGION = with_text(photo(640, 480))
BOX = sdk.Rect(REGION.x, REGION.y, REGION.width, REGION.height)
MASK = regions_to_mask([REGION], PIXELS.shape[1], PIXELS.shape[0])
_FAR_APART = [sdk.Rect(20 + 400 * (i % 5), 20 + 250 * (i // 5), 10, 10) for i in range(40)]
_LONG = encoded(photo(2000, 2000), "JPEG", quality=20)


@pytest.fixture
def client(service: Service) -> Iterator[sdk.Client]:
    with sdk.Client(service.url) as made:
        yield made


@pytest.fixture
async def awaited(service: Service) -> AsyncIterator[sdk.AsyncClient]:
    async with sdk.AsyncClient(service.url) as made:
        yield made


def assert_clean(picture: sdk.Picture) -> None:
    out = picture.to_numpy()
    assert np.array_equal(out[MASK == 0], PIXELS[MASK == 0])
    assert (out[MASK > 0] != PIXELS[MASK > 0]).any(axis=1).mean() > 0.5


def assert_story(updates: list[sdk.Update]) -> None:
    progress = [update.progress for update in updates]
    assert progress == sorted(progress)
    assert len(set(progress)) >= 3
    assert [update.ended for update in updates] == [False] * (len(updates) - 1) + [True]


def test_the_service_tells_of_itself(client: sdk.Client) -> None:
    assert client.wait_ready().status == "healthy"
    info = client.info()
    assert (info.model, info.models) == ("cv2", ("cv2", "fake"))
    assert info.limits["max_pixels"] > 0
    assert client.queue().active >= 0


def test_now(client: sdk.Client, tmp_path: Path) -> None:
    by_region = client.remove_text(PIXELS, [BOX])
    assert_clean(by_region)
    assert (by_region.model, by_region.media_type) == ("cv2", "image/png")
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(PIXELS))
    assert client.inpaint(path, MASK).data == by_region.data
    assert client.measure(path, [BOX])["regions_processed"] == 1
    with pytest.raises(sdk.InvalidRequest, match="nope") as raised:
        client.remove_text(path, [BOX], model="nope")
    assert raised.value.code == "unknown_model"


def test_a_task(client: sdk.Client) -> None:
    task = client.submit(PIXELS, [BOX], model="fake")
    updates = list(task)
    assert_story(updates)
    assert updates[-1].status == "completed"
    assert task.result().model == "fake"
    assert list(client.task(task.id)) == updates[-1:] or client.task(task.id).status().status == "completed"
    again = client.submit(PIXELS, [BOX], model="fake", task_id=task.id)
    assert again.result().data == task.result().data
    with pytest.raises(sdk.Conflict):
        client.submit(PIXELS, [BOX], model="cv2", task_id=task.id)
    assert task.deliveries() == []
    task.forget()
    with pytest.raises(sdk.NotFound):
        task.result()


def test_a_task_is_cancelled_while_it_runs(client: sdk.Client) -> None:
    task = client.submit(_LONG, _FAR_APART, model="fake")
    last = None
    for update in task:
        last = update
        if update.stage == "inpainting":
            task.cancel()
            task.cancel()
    assert last is not None
    assert last.status == "cancelled"
    with pytest.raises(sdk.TaskCancelled):
        task.result()


def test_patience_ends(client: sdk.Client) -> None:
    task = client.submit(_LONG, _FAR_APART, model="fake")
    start = time.monotonic()
    with pytest.raises(sdk.TimedOut):
        task.result(timeout_s=1.5)
    assert time.monotonic() - start < 4
    task.cancel()


def test_a_task_that_fails_says_why(client: sdk.Client) -> None:
    """The header is whole, so it is accepted; only decoding shows that the picture is not."""
    task = client.submit(encoded(PIXELS, "JPEG", quality=95)[:20_000], [BOX])
    with pytest.raises(sdk.TaskFailed) as raised:
        task.result()
    assert raised.value.code == "invalid_image"


def test_a_progress_bar(client: sdk.Client, capsys: pytest.CaptureFixture[str]) -> None:
    client.submit(PIXELS, [BOX], model="fake", task_id=f"bar-{uuid.uuid4()}").result(progress=True)
    shown = capsys.readouterr().err
    assert "bar-" in shown
    assert "100%" in shown


def test_an_unknown_task_is_not_waited_for(client: sdk.Client) -> None:
    with pytest.raises(sdk.NotFound):
        next(iter(client.task("nobody-sent-this")))


def test_all_messages_are_heard(client: sdk.Client) -> None:
    task = client.submit(PIXELS, [BOX], model="fake")
    for message in client.messages():
        if message["type"] == "task_completed" and message["task_id"] == task.id:
            break
    with pytest.raises(sdk.ConnectionFailed), sdk.Client(f"http://127.0.0.1:{free_port()}") as nobody:
        next(iter(nobody.messages()))


def test_a_batch(client: sdk.Client, tmp_path: Path) -> None:
    items = [sdk.BatchItem(PIXELS, regions=[BOX]), sdk.BatchItem(PIXELS, mask=MASK, options={"model": "cv2"})]
    batch = client.submit_batch(items, model="fake")
    ends = [update for update in batch if update.ended]
    assert sorted(update.task_id for update in ends) == [f"{batch.id}.0", f"{batch.id}.1"]
    results = list(batch.results())
    assert [picture.model for _, picture in results if picture] == ["fake", "cv2"]
    assert_clean(results[1][1] or pytest.fail("no picture"))
    with zipfile.ZipFile(batch.download(tmp_path / "batch.zip")) as archive:
        assert len(archive.namelist()) == 3
    assert batch.status().counts["completed"] == 2
    assert batch.cancel().status == "completed"


async def test_all_of_it_awaited(awaited: sdk.AsyncClient, tmp_path: Path) -> None:
    await awaited.wait_ready()
    assert_clean(await awaited.remove_text(PIXELS, [BOX]))
    task = await awaited.submit(PIXELS, [BOX], model="fake")
    updates = [update async for update in task]
    assert_story(updates)
    assert (await task.result()).model == "fake"
    long = await awaited.submit(_LONG, _FAR_APART, model="fake")
    with pytest.raises(sdk.TimedOut):
        await long.result(timeout_s=1.0)
    await long.cancel()
    assert (await long.status()).status == "cancelled"
    batch = await awaited.submit_batch([sdk.BatchItem(PIXELS, regions=[BOX])] * 3)
    pictures = [picture async for _, picture in batch.results()]
    assert len([picture for picture in pictures if picture]) == 3
    with zipfile.ZipFile(await batch.download(tmp_path / "batch.zip")) as archive:
        assert "report.json" in archive.namelist()


async def test_many_tasks_at_once(awaited: sdk.AsyncClient) -> None:
    async def one() -> sdk.Picture:
        return await (await awaited.submit(PIXELS, [BOX])).result(timeout_s=60)

    for picture in await asyncio.gather(*(one() for _ in range(12))):
        assert_clean(picture)


def test_a_websocket_that_breaks_is_made_again(service: Service) -> None:
    """Cut twice in the middle, behind a path prefix: the story stays whole."""
    with prefixed(service.url, "/some/prefix", cuts=2, cut_after=600) as proxy, sdk.Client(proxy.url) as client:
        updates = list(client.submit(_LONG, _FAR_APART[:3], model="fake"))
        assert proxy.cuts == 0, "both were cut"
    assert_story(updates)
    assert updates[-1].status == "completed"


async def test_a_websocket_that_breaks_is_made_again_awaited(service: Service) -> None:
    with prefixed(service.url, "/some/prefix", cuts=2, cut_after=600) as proxy:
        async with sdk.AsyncClient(proxy.url) as client:
            updates = [update async for update in await client.submit(_LONG, _FAR_APART[:3], model="fake")]
        assert proxy.cuts == 0, "both were cut"
    assert_story(updates)


@pytest.mark.parametrize("number", range(3))
def test_the_examples_of_its_readme(service: Service, tmp_path: Path, number: int) -> None:
    readme = (ROOT / "clients/python/README.md").read_text()
    code = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[number]
    for name in ("clean.png", "cleaned.zip"):
        code = code.replace(f'"{name}"', repr(str(tmp_path / name)))
    script = tmp_path / "example.py"
    script.write_text(code.replace("http://localhost:8081", service.url))
    run = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "clients/python/src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    made = list(itertools.chain(tmp_path.glob("clean.png"), tmp_path.glob("cleaned.zip")))
    assert len(made) == 1
    assert made[0].stat().st_size > 10_000
