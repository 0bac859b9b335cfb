"""One reader of task changes in an ingress replica, fed by the one long poll that all its readers share."""

import asyncio
import contextlib
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Protocol, Self

from deployments.tasks import BatchSnapshot, TaskSnapshot
from models.errors import TextRemovalError


class Source(Protocol):
    """Offers changes to whoever is attached, and is asked for what came before."""

    def attach(self, watch: "TaskWatch") -> None: ...
    def detach(self, watch: "TaskWatch") -> None: ...
    async def get(self, task_id: str) -> TaskSnapshot: ...
    async def batch(self, batch_id: str) -> BatchSnapshot: ...


class TaskWatch:
    """See ``ingress.services.Watch``. Holds at most the newest snapshot of each followed task."""

    def __init__(self, client: Source) -> None:
        self._client = client
        self._followed: set[str] = set()
        self._all = False
        self._newest: dict[str, TaskSnapshot] = {}
        self._seen: dict[str, int] = {}
        self._live: set[str] = set()
        self._wake = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._client.attach(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.detach(self)
        for task in self._asking:
            task.cancel()

    def add(self, task_id: str) -> None:
        self._followed.add(task_id)
        self._seen.pop(task_id, None)
        self._spawn(self._ask(task_id))

    def ask_again(self) -> None:
        """The newest state of everything that is followed and has not ended, from the tracker itself."""
        for task_id in self._followed | self._live:
            self._spawn(self._ask(task_id))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def remove(self, task_id: str) -> None:
        self._followed.discard(task_id)

    def follow_all(self, on: bool) -> None:
        self._all = on

    def offer(self, snapshot: TaskSnapshot) -> None:
        """A batch that is followed means its tasks."""
        task_id = snapshot.task_id
        followed = task_id in self._followed or snapshot.batch_id in self._followed
        if not (self._all or followed) or self._seen.get(task_id, -1) >= snapshot.version:
            return
        self._seen[task_id] = snapshot.version
        (self._live.discard if snapshot.status.is_terminal else self._live.add)(task_id)
        self._newest[task_id] = snapshot
        self._wake.set()

    async def changes(self, timeout_s: float) -> list[TaskSnapshot]:
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return []
        self._wake.clear()
        found, self._newest = list(self._newest.values()), {}
        for snapshot in found:
            if snapshot.status.is_terminal and self._all:
                self._seen.pop(snapshot.task_id, None)  # nothing follows an end; keeps the table small
        return found

    async def _ask(self, name: str) -> None:
        # Unknown yet: its updates come when it is submitted.
        with contextlib.suppress(TextRemovalError):
            self.offer(await self._client.get(name))
            return
        with contextlib.suppress(TextRemovalError):
            for snapshot in (await self._client.batch(name)).tasks:
                self.offer(snapshot)
