"""A tracker that an update has left behind ends by itself; who needs one finds, or creates, it again."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from deployments.actor import Reconnecting, connect, find
from deployments.config import TrackerConfig
from tests.support.service import ROOT


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    ray.init("local", num_cpus=1, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
    yield
    ray.shutdown()


def config(folder: Path, version: str, idle_end_s: float) -> TrackerConfig:
    return TrackerConfig(str(folder), version, "app", lease_s=2.0, sync_s=0.3, idle_end_s=idle_end_s)


def lives(settings: TrackerConfig) -> bool:
    try:
        find(settings.actor_name)
    except ValueError:
        return False
    return True


def test_the_old_one_ends_and_is_found_again_when_it_is_called(cluster: None, tmp_path: Path) -> None:
    old, new = config(tmp_path, "old", 1.0), config(tmp_path, "new", 600.0)

    async def counts(actor: Reconnecting) -> int:
        return int((await actor.counts.remote()).max_queued)

    async def drive() -> None:
        first = Reconnecting(lambda: connect(old))
        assert await counts(first) == old.max_queued
        await asyncio.sleep(2.0)
        assert lives(old), "the only one stays, however idle"
        second = Reconnecting(lambda: connect(new))
        assert await counts(second) == new.max_queued
        end = time.monotonic() + 30
        while lives(old) or list((tmp_path / "owners").glob("old-*")):
            assert time.monotonic() < end, "it, or its heartbeat, is still there"
            await asyncio.sleep(0.3)
        assert await counts(first) == old.max_queued
        assert lives(old)
        assert lives(new)

    asyncio.run(drive())
