# Made from ../aio by scripts/sync_client: change it there.
"""Tasks and batches."""

from collections.abc import Iterator, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from iopaint_client import calls
from iopaint_client.bar import progress_bar
from iopaint_client.pictures import Picture
from iopaint_client.states import BatchState, Delivery, TaskState, Update
from iopaint_client.story import Story
from iopaint_client.sync.transport import Transport
from iopaint_client.wire import checked_id, deadline


class Task:
    """A task of the service. Iterating yields an ``Update`` for each change, the last one ``ended``."""

    def __init__(self, transport: Transport, task_id: str) -> None:
        self._transport = transport
        self.id = checked_id(task_id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __iter__(self) -> Iterator[Update]:
        return self.updates()

    def updates(self, timeout_s: float | None = None) -> Iterator[Update]:
        """Over the WebSocket; a connection that breaks is made again, and nothing that matters is missed."""
        return self._updates(deadline(timeout_s))

    def _updates(self, end: float | None) -> Iterator[Update]:
        story = Story([self.id])

        def look() -> tuple[Story, list[Update]]:
            update = story.look(self._transport.send(calls.task_state(self.id), end))
            return story, [update] if update else []

        return self._transport.follow(f"progress/{self.id}", None, look, end)

    def status(self) -> TaskState:
        return self._transport.send(calls.task_state(self.id))

    def result(self, timeout_s: float | None = None, *, progress: bool = False) -> Picture:
        """Wait for the end, and fetch the picture. Raises ``TaskFailed``, ``TaskCancelled``, ``TimedOut``,
        ``ResultExpired``."""
        end = deadline(timeout_s)
        with progress_bar(progress, self.id) as show:
            for update in self._updates(end):
                show(update)
        if update.status != "completed":
            (self._transport.send(calls.task_state(self.id), end)).raise_for_end()
        return self._transport.send(calls.task_result(self.id), end)

    def cancel(self) -> None:
        """Final at once; again is fine. Raises ``Conflict`` when it has ended otherwise."""
        self._transport.send(calls.cancel_task(self.id))

    def forget(self) -> None:
        """An ended task and its files. Raises ``Conflict`` while it runs."""
        self._transport.send(calls.forget_task(self.id))

    def stats(self) -> Mapping[str, Any]:
        """Where its time went."""
        return self._transport.send(calls.task_stats(self.id))

    def deliveries(self) -> list[Delivery]:
        """Attempts at its callback."""
        return self._transport.send(calls.deliveries(self.id))

    def redeliver(self) -> list[Delivery]:
        """Send its callback once more."""
        return self._transport.send(calls.redeliver(self.id))


class Batch:
    """Many tasks. Iterating yields the updates of all of them until all have ended."""

    def __init__(self, transport: Transport, batch_id: str) -> None:
        self._transport = transport
        self.id = checked_id(batch_id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __iter__(self) -> Iterator[Update]:
        return self.updates()

    def updates(self, timeout_s: float | None = None) -> Iterator[Update]:
        return self._updates(deadline(timeout_s))

    def _updates(self, end: float | None) -> Iterator[Update]:
        stories: list[Story] = []

        def look() -> tuple[Story, list[Update]]:
            tasks = (self._transport.send(calls.batch_state(self.id), end)).tasks
            if not stories:
                stories.append(Story(task.task_id for task in tasks))
            return stories[0], [update for task in tasks if (update := stories[0].look(task))]

        return self._transport.follow("progress", self.id, look, end)

    def status(self) -> BatchState:
        return self._transport.send(calls.batch_state(self.id))

    def wait(self, timeout_s: float | None = None, *, progress: bool = False) -> BatchState:
        """Until all have ended. Raises ``TimedOut``."""
        end = deadline(timeout_s)
        with progress_bar(progress, self.id) as show:
            done: dict[str, float] = {}
            for update in self._updates(end):
                done[update.task_id] = 100.0 if update.ended else update.progress
                show(Update(self.id, update.status, update.stage, sum(done.values()) / len(done), ""))
        return self._transport.send(calls.batch_state(self.id), end)

    def results(self, timeout_s: float | None = None) -> Iterator[tuple[TaskState, Picture | None]]:
        """Waits, ``timeout_s`` at most, then each task in order with its picture; None where it did not complete."""
        for task in (self.wait(timeout_s)).tasks:
            if task.status == "completed":
                yield task, self._transport.send(calls.task_result(checked_id(task.task_id)))
            else:
                yield task, None

    def download(self, path: str | PathLike[str]) -> Path:
        """All pictures and ``report.json`` as a zip. Raises ``Conflict`` until all have ended."""
        return self._transport.download(calls.batch_zip(self.id), Path(fspath(path)))

    def cancel(self) -> BatchState:
        """What has not ended of it."""
        return self._transport.send(calls.cancel_batch(self.id))
