"""The short form of ``scripts/chaos``: the books balance, whatever was killed."""

import asyncio
from pathlib import Path

import pytest
from rich.console import Console

from drills.chaos import Plan, drill

_KILLS = ("replica", "tracker", "ingress", "node")


@pytest.mark.timeout(600)
def test_the_books_balance_after_kills(tmp_path: Path) -> None:
    """Each kind once, the node last, over S3; ``tests/unit/deployments/test_several_trackers.py`` has both archives."""
    plan = Plan(minutes=0.3, kills=_KILLS, every_s=4, clients=4, store="s3", model="fake", seed=9, tasks_each=3)
    outcome = asyncio.run(drill(plan, tmp_path, Console()))
    assert outcome.books.faults == []
    assert set(outcome.kills) >= set(_KILLS)
    assert outcome.books.accepted >= plan.clients * plan.tasks_each
    assert outcome.books.deliveries >= outcome.books.accepted
