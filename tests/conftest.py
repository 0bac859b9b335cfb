"""How the tests are shared out when several processes run them: see ``scripts/test``."""

import os
from pathlib import Path

import pytest

_FOLDERS = {Path(__file__).parent / name for name in ("serve", "browser")}
_BREAKING = {"test_chaos", "test_deploy", "test_edge", "test_nodes", "test_offline", "test_prometheus", "test_start"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real services run two at a time: two processors do not start more of them within Ray's own limits."""
    for item in filter(_needs_services, items):
        lane = "breaking" if item.path.stem in _BREAKING else "using"
        item.add_marker(pytest.mark.xdist_group(f"services-{lane}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The others step back for them, for good: who holds services comes to the others last."""
    if "PYTEST_XDIST_WORKER" in os.environ and not _needs_services(item):
        os.setpriority(os.PRIO_PROCESS, 0, 10)


def _needs_services(item: pytest.Item) -> bool:
    return not _FOLDERS.isdisjoint(item.path.parents)
