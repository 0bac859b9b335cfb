"""Whether another task may wait: the queue's bound, and each client's."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deployments.config import TrackerConfig
from deployments.errors import QueueFull
from deployments.task_table import TaskTable


class QueueRoom:
    """``slots()`` says how many tasks are worked on at once: it tells who is refused when to come again."""

    def __init__(self, config: TrackerConfig, table: TaskTable, slots: Callable[[], int]) -> None:
        self._config = config
        self._table = table
        self._slots = slots
        self._promised: Counter[str] = Counter()
        """Places of each client's tasks whose records are just being written."""

    @contextmanager
    def places(self, wanted: int, client: str) -> Iterator[None]:
        """Keeps places in the queue for tasks while their records are written; 0: they have theirs."""
        if wanted:
            self._check_room(wanted, client)
        self._promised[client] += wanted
        try:
            yield
        finally:
            self._promised -= Counter({client: wanted})

    def _check_room(self, wanted: int, client: str) -> None:
        quota = self._config.max_active_per_client
        if quota and self._table.active_of(client) + self._promised[client] + wanted > quota:
            raise QueueFull(
                f"There is no room for {wanted} more: at most {quota} of your tasks may be waiting or at work "
                "(MAX_TASKS_PER_CLIENT). Try again when some have ended.",
                retry_after_s=self._table.freed_in_s(wanted, self._slots()),
            )
        if self._table.room() - self._promised.total() < wanted:
            raise QueueFull(
                f"The queue has no room for {wanted} more (at most {self._config.max_queued} tasks wait). "
                "Try again later.",
                retry_after_s=self._table.freed_in_s(wanted, self._slots()),
            )
