"""The short form of ``scripts/chaos``: the books balance, whatever was killed."""

import asyncio
from pathlib import Path

from rich.console import Console

from drills.chaos import Plan, drill


def test_the_books_balance_after_kills(tmp_path: Path) -> None:
    plan = Plan(
        minutes=0.3, kills=("replica", "tracker", "ingress"), every_s=4, clients=4, store="s3", model="fake", seed=7
    )
    outcome = asyncio.run(drill(plan, tmp_path, Console()))
    assert outcome.books.faults == []
    assert outcome.kills.total() >= 3
    assert outcome.books.accepted >= 10
    assert outcome.books.deliveries >= outcome.books.accepted


def test_the_books_balance_after_the_whole_node_is_lost(tmp_path: Path) -> None:
    plan = Plan(minutes=0.1, kills=("node",), every_s=4, clients=4, store="directory", model="fake", seed=1)
    outcome = asyncio.run(drill(plan, tmp_path, Console()))
    assert outcome.books.faults == []
    assert outcome.kills.total() >= 1
    assert outcome.books.accepted >= 4
