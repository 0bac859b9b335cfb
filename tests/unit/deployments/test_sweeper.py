"""Retention and the bound on bytes, on a real folder whose files are made older."""

import os
import time
from pathlib import Path

import pytest

from deployments.archive_store import open_store
from deployments.errors import ResultExpired
from deployments.protocol import TaskEnd
from deployments.sweeper import Sweeper
from deployments.task_archive import TaskArchive, TaskRecord
from deployments.tasks import TaskInput, TaskStatus
from tests.support.tracker import JOB, STATS, submission


class Shelf:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archive = TaskArchive(open_store(str(folder)))

    async def ended(self, task_id: str, age_s: float, size: int = 10) -> TaskEnd:
        end = TaskEnd(task_id, TaskStatus.COMPLETED, 1, time.time() - age_s, stats=STATS)
        await self.archive.create_record(TaskRecord(submission(task_id), 0.0, "me"))
        await self.archive.put_result(task_id, 1, b"x" * size)
        await self.archive.create_end(end)
        self.age(task_id, age_s)
        return end

    def age(self, task_id: str, age_s: float) -> None:
        for path in (self.folder / "tasks" / task_id).rglob("*"):
            os.utime(path, (time.time() - age_s,) * 2)

    def left(self, task_id: str) -> set[str]:
        return {path.name for path in (self.folder / "tasks" / task_id).rglob("*") if path.is_file()}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


async def test_the_result_goes_after_one_retention_and_the_record_after_two(shelf: Shelf) -> None:
    ends = {name: await shelf.ended(name, age) for name, age in (("new", 50), ("old", 150), ("ancient", 250))}
    await Sweeper(shelf.archive, 100.0, 0).sweep(time.time())
    assert shelf.left("new") == {"record.json", "result-1", "end.json"}
    assert shelf.left("old") == {"record.json", "end.json"}
    assert shelf.left("ancient") == set()
    with pytest.raises(ResultExpired):
        await shelf.archive.result(ends["old"])


async def test_beyond_the_bound_the_oldest_results_go_and_never_unfinished_work(shelf: Shelf) -> None:
    await shelf.archive.put_input("busy", "d", TaskInput(JOB, b"x" * 5000))
    await shelf.archive.create_record(TaskRecord(submission("busy"), 0.0, "me"))
    for age_s in (10, 20, 30):
        await shelf.ended(f"t{age_s}", age_s, size=4000)
    await Sweeper(shelf.archive, 100.0, 16_000).sweep(time.time())
    assert [("result-1" in shelf.left(f"t{age_s}")) for age_s in (10, 20, 30)] == [True, True, False]
    await Sweeper(shelf.archive, 100.0, 1).sweep(time.time())
    assert shelf.left("busy") == {"image", "job.json", "record.json"}
    assert "result-1" not in shelf.left("t10")


async def test_inputs_that_no_record_followed_go_after_an_hour(shelf: Shelf) -> None:
    for name in ("fresh", "stale"):
        await shelf.archive.put_input(name, "d", TaskInput(JOB, b"image"))
    shelf.age("stale", 4000)
    await Sweeper(shelf.archive, 100.0, 0).sweep(time.time())
    assert (shelf.left("fresh"), shelf.left("stale")) == ({"image", "job.json"}, set())
