"""The waiting line against its own rules: what ``position`` says is when ``pop`` serves."""

from hypothesis import given
from hypothesis import strategies as st

from deployments.task_queue import FairQueue

_WAITING = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-2, 2), st.booleans()), min_size=1, max_size=30)


@given(_WAITING, st.integers(0, 5))
def test_position_is_the_turn(waiting: list[tuple[str, int, bool]], served: int) -> None:
    queue = FairQueue()
    for number, (client, priority, front) in enumerate(waiting):
        queue.push(str(number), client, priority, front=front)
    for _ in range(served):
        queue.pop()
    told = {str(n): p for n in range(len(waiting)) if (p := queue.position(str(n))) is not None}
    order: list[str] = []
    while (task_id := queue.pop()) is not None:
        order.append(task_id)
    assert told == {task_id: place for place, task_id in enumerate(order)}
    assert len(queue) == 0


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40))
def test_nobody_waits_for_more_than_one_task_of_each_other_client(clients: list[str]) -> None:
    queue = FairQueue()
    for number, client in enumerate(clients):
        queue.push(str(number), client)
    first_turns: dict[str, int] = {}
    for turn in range(len(clients)):
        task_id = queue.pop()
        assert task_id is not None
        first_turns.setdefault(clients[int(task_id)], turn)
    assert max(first_turns.values()) < len(set(clients))


def test_removed_tasks_are_not_served_and_twice_is_once() -> None:
    queue = FairQueue()
    for name in ("x", "y", "x"):
        queue.push(name, "client")
    queue.remove("x")
    queue.remove("never there")
    assert [queue.pop(), queue.pop()] == ["y", None]
