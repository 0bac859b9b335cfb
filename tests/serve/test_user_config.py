"""``serve deploy`` with another ``user_config``: the running replica follows, and is not replaced."""

import time
from pathlib import Path
from typing import Any

import requests

from drills.load import cluster
from drills.traffic import request_body
from tests.support.pictures import encoded, photo

_ONE = {"min_replicas": 1, "max_replicas": 1}
_BODY = request_body(encoded(photo(320, 240)), [{"x": 40, "y": 60, "width": 120, "height": 30}], "fake")


def status(url: str) -> int:
    return requests.post(f"{url}/api/v1/inpaint-regions", json=_BODY, timeout=60).status_code


def replica(url: str) -> str:
    health: Any = requests.get(f"{url}/api/v1/health", timeout=10).json()
    (found,) = health["diagnostics"]["replicas"]
    identity: str = found["id"]
    return identity


def until(url: str, wanted: int) -> None:
    end = time.monotonic() + 60
    while (seen := status(url)) != wanted:
        assert time.monotonic() < end, f"{seen} instead of {wanted}"
        time.sleep(0.5)


def test_a_limit_changes_in_the_running_replica(tmp_path: Path) -> None:
    with cluster(tmp_path) as running:
        running.deploy(_ONE, 0.01)
        running.wait_for(1)
        before = replica(running.url)
        assert status(running.url) == 200
        running.deploy(_ONE, 0.01, max_pixels=1000)
        until(running.url, 413)
        running.deploy(_ONE, 0.01)
        until(running.url, 200)
        assert replica(running.url) == before
