"""The ways in which the service is broken."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.support.service import Service, start

PROCESSES = {
    "replica": "ray::ServeReplica:iopaint:Inpainter",
    "ingress": "ray::ServeReplica:iopaint:Ingress",
    "tracker": "ray::TrackerActor",
    "proxy": "ray::ProxyActor",
    "controller": "ray::ServeController",
}
KINDS = (*PROCESSES, "node", "restart", "pause")
_STARTS, START_S = 3, 240.0
_PAUSE_S = 15.0
"""Longer than a running attempt may be silent."""


class Breaker:
    """Owns the service process, since some of the ways need a new one on the same port and archive."""

    def __init__(self, folder: Path, port: int, environment: dict[str, str], seed: int) -> None:
        self._make: Callable[[], Service] = lambda: start(folder, environment, port)
        self._random = random.Random(seed)
        self._to_come: list[str] = []
        self.service = self._make()
        self.done: Counter[str] = Counter()

    def strike(self, kinds: tuple[str, ...]) -> str:
        """Break one thing; returns what. What restarts the whole is healthy again on return."""
        if not self._to_come:  # every kind once before any comes again
            self._to_come = self._random.sample(kinds, len(kinds))
        kind = self._to_come.pop()
        if kind == "node":
            self.service.kill_node()
            self._again()
        elif kind == "restart":
            self.service.stop()
            self._again()
        elif kind == "pause":
            self._pause()
        else:
            # One replica of the model, but every one of the ingress: the harder of the cases each.
            found = self.service.named(PROCESSES[kind])
            for pid in found if kind == "ingress" else found[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not found:
                return f"{kind}: not there"
        self.done[kind] += 1
        return kind

    def _pause(self) -> None:
        """The tracker stands still, as in a machine that swaps or is moved, and goes on."""
        for pid in self.service.named(PROCESSES["tracker"]):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(_PAUSE_S)
                os.kill(pid, signal.SIGCONT)

    def _again(self) -> None:
        """As the supervisor of a machine does it: a start that Ray itself gives up (on a busy machine its daemons do
        not come up in the time it allows them) is made again. What was accepted must outlive that, too."""
        for _ in range(_STARTS):
            self.service = self._make()
            with suppress(AssertionError):
                self.service.wait_healthy(START_S)
                return
            self.done["start given up"] += 1
            if self.service.process.poll() is None:
                self.service.kill_node()
        raise AssertionError(f"The service did not come up in {_STARTS} starts: see {self.service.log}")
