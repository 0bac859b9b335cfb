"""The waiting line: clients take turns, so that no one's hundred tasks starve another's one. Pure, no I/O."""

import bisect
import itertools
from collections import OrderedDict

_Place = tuple[int, int, str]
"""(minus priority, order of arrival, task id): sorted, the first goes next."""


class FairQueue:
    """Round robin between clients; within a client higher priority first, then the order of arrival.

    A priority orders its own client's tasks only: otherwise whoever writes the largest number starves the others.
    """

    def __init__(self) -> None:
        self._turns: OrderedDict[str, list[_Place]] = OrderedDict()
        self._where: dict[str, tuple[str, _Place]] = {}
        self._arrival = itertools.count(1)

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._where

    def push(self, task_id: str, client: str, priority: int = 0, *, front: bool = False) -> None:
        """``front``: before its client's others of the same priority, for what has waited once already."""
        if task_id in self._where:
            return
        arrival = next(self._arrival)
        place = (-priority, -arrival if front else arrival, task_id)
        bisect.insort(self._turns.setdefault(client, []), place)
        self._where[task_id] = (client, place)

    def pop(self) -> str | None:
        """The next task; its client goes to the end of the round."""
        if not self._turns:
            return None
        client, places = next(iter(self._turns.items()))
        task_id = places[0][2]
        self.remove(task_id)
        if client in self._turns:
            self._turns.move_to_end(client)
        return task_id

    def remove(self, task_id: str) -> None:
        found = self._where.pop(task_id, None)
        if found is None:
            return
        client, place = found
        places = self._turns[client]
        del places[bisect.bisect_left(places, place)]
        if not places:
            del self._turns[client]

    def position(self, task_id: str) -> int | None:
        """How many go before it if nobody else comes; 0 is next, None is not waiting."""
        found = self._where.get(task_id)
        if found is None:
            return None
        client, place = found
        own = bisect.bisect_left(self._turns[client], place)
        ahead, before_own_turn = own, True
        for other, places in self._turns.items():
            if other == client:
                before_own_turn = False
            else:
                ahead += min(len(places), own + 1 if before_own_turn else own)
        return ahead
