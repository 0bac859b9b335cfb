"""A tracker in a process of its own, for tests that stop processes: ``python -m tests.support.tracker_process URL OWNER
TASKS``. It submits so many tasks, works at them itself, half a second each, and writes a line for each thing that it
did: ``began TASK ATTEMPT``, ``came back TASK ATTEMPT``, ``told TASK STATUS``."""

import asyncio
import sys

from deployments.protocol import TaskOrder
from tests.support.tracker import Bench

WORK_S = 0.5


def say(*words: object) -> None:
    print(*words, flush=True)


async def work(bench: Bench, owner: str) -> None:
    async def one(order: TaskOrder, reply: asyncio.Future[None]) -> None:
        await bench.tracker.begin(order)
        say("began", order.task_id, order.attempt)
        await asyncio.sleep(WORK_S)
        await bench.complete(order, reply, f"of {owner}, attempt {order.attempt}".encode())
        say("came back", order.task_id, order.attempt)

    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(one(*await bench.order(3600)))


async def watch(bench: Bench) -> None:
    """As an ingress replica would."""
    known = await bench.tracker.changes("", -1, 0)
    while True:
        known = await bench.tracker.changes(known.epoch, known.version, 10)
        for task in known.tasks:
            if task.status.is_terminal:
                say("told", task.task_id, task.status.value)


async def main(url: str, owner: str, tasks: int) -> None:
    bench = Bench(url, owner, sync_s=0.2, lease_s=1.5, attempt_silence_s=60.0)
    await bench.tracker.counts()
    say("ready")
    async with asyncio.TaskGroup() as group:
        group.create_task(watch(bench))
        group.create_task(work(bench, owner))
        for number in range(tasks):
            await bench.submit(f"t{number}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
