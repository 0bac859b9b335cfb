"""Several trackers on one archive: who is alive, and how far their running tasks have come.

Each tracker keeps ``owners/<id>.json`` fresh. Whether another one is silent is judged by *seeing its counter change*
on one's own monotonic clock, so clocks that disagree do no harm. A tracker whose process is known to be gone (same
machine, same process namespace) counts as silent at once.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from deployments.progress import UnitProgress
from deployments.task_archive import TaskArchive

_GLIMPSES = TypeAdapter(dict[str, UnitProgress])


@dataclass(slots=True)
class _Seen:
    beat: int
    changed_at: float
    host: str
    pid: int
    running: dict[str, UnitProgress]


class OwnerBook:
    """One tracker's view of all the trackers of the archive."""

    def __init__(self, archive: TaskArchive, owner: str, silent_after_s: float) -> None:
        self._archive = archive
        self._owner = owner
        self._silent_after_s = silent_after_s
        self._host = host_id()
        self._beat = time.time_ns()  # rises over restarts of this tracker, too
        self._seen: dict[str, _Seen] = {}

    async def beat(self, running: dict[str, UnitProgress]) -> None:
        """Say that this tracker lives, and how far its running tasks are."""
        self._beat += 1
        note = {"beat": self._beat, "host": self._host, "pid": os.getpid()}
        await self._archive.put_owner(
            self._owner, json.dumps(note | {"running": _GLIMPSES.dump_python(running, mode="json")}).encode()
        )

    async def look(self) -> None:
        """Read the others' heartbeats."""
        now = time.monotonic()
        found = await self._archive.owners()
        found.pop(self._owner, None)
        for owner, note in found.items():
            before = self._seen.get(owner)
            if before is None or before.beat != note["beat"]:
                self._seen[owner] = _seen(note, now)
        for owner in set(self._seen) - set(found):
            del self._seen[owner]

    def is_silent(self, owner: str) -> bool:
        """True when that tracker may no longer be waited for. Never true of this one."""
        if owner == self._owner:
            return False
        seen = self._seen.get(owner)
        if seen is None:
            return True  # it took its heartbeat away, or never had one
        if seen.host == self._host and not Path(f"/proc/{seen.pid}").exists():
            return True
        return time.monotonic() - seen.changed_at > self._silent_after_s

    def others(self) -> list[str]:
        return list(self._seen)

    def progress(self, owner: str, task_id: str) -> UnitProgress | None:
        """What another tracker last said of a task that runs there."""
        seen = self._seen.get(owner)
        return seen.running.get(task_id) if seen else None

    async def forget(self, owner: str) -> None:
        """Remove the heartbeat of one that is silent and owns nothing any more."""
        self._seen.pop(owner, None)
        await self._archive.delete_owner(owner)


def host_id() -> str:
    """The boot and the namespace that process ids belong to; equal to no other where the kernel does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"unknown:{time.time_ns()}"


def _seen(note: dict[str, Any], now: float) -> _Seen:
    return _Seen(note["beat"], now, note["host"], note["pid"], _GLIMPSES.validate_python(note.get("running", {})))
