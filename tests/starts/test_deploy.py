"""What ``serve deploy`` does to a running service: limits, replicas from and to zero, new code under load, GPUs."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from drills.load import Cluster, cluster
from drills.traffic import request_body
from tests.support.pictures import encoded, photo
from tests.support.weights import save_lama

_ONE = {"min_replicas": 1, "max_replicas": 1}
_BODY = request_body(encoded(photo(320, 240)), [{"x": 40, "y": 60, "width": 120, "height": 30}], "fake")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("deploy")) as made:
        yield made


def status(url: str) -> int:
    return requests.post(f"{url}/api/v1/inpaint-regions", json=_BODY, timeout=60).status_code


def health(url: str) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{url}/api/v1/health", timeout=60).json()
    return answer


def replicas(url: str) -> set[str]:
    return {replica["id"] for replica in health(url)["diagnostics"]["replicas"]}


def until(condition: Callable[[], bool], what: str, patience_s: float = 180) -> None:
    end = time.monotonic() + patience_s
    while not _holds(condition):
        assert time.monotonic() < end, what
        time.sleep(0.3)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except ValueError:  # Serve's own answers in plain text, before the application is there
        return False


def test_a_limit_changes_in_the_running_replica(running: Cluster) -> None:
    running.deploy(_ONE, 0.01)
    running.wait_for(1)
    before = replicas(running.url)
    assert status(running.url) == 200
    running.deploy(_ONE, 0.01, max_pixels=1000)
    until(lambda: status(running.url) == 413, "a smaller limit")
    running.deploy(_ONE, 0.01)
    until(lambda: status(running.url) == 200, "the first limit")
    assert replicas(running.url) == before


class Client(threading.Thread):
    """One call after another, and three tasks beside each, so that some always wait."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._api = f"{url}/api/v1"
        self.answers: list[int] = []
        self.tasks: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.wait(0.1):
            self.answers.append(requests.post(f"{self._api}/inpaint-regions", json=_BODY, timeout=120).status_code)
            for _ in range(3):
                task = _BODY | {"task_id": uuid.uuid4().hex}
                answer = requests.post(f"{self._api}/inpaint-regions-async", json=task, timeout=60)
                self.answers.append(answer.status_code)
                self.tasks.append(task["task_id"])


def test_new_code_under_load_loses_no_call_and_no_task(running: Cluster) -> None:
    """Another length of the units is another version: every replica and the tracker are replaced, while tasks wait."""
    running.deploy(_ONE, 0.1)
    running.wait_for(1)
    before = replicas(running.url)
    clients = [Client(running.url) for _ in range(2)]
    for client in clients:
        client.start()
    until(lambda: all(len(client.answers) > 2 for client in clients), "the clients are at work")
    running.deploy(_ONE, 0.08)
    until(lambda: bool(replicas(running.url) - before) and not replicas(running.url) & before, "other replicas")
    so_far = [len(client.answers) for client in clients]
    until(lambda: all(len(c.answers) > n + 2 for c, n in zip(clients, so_far, strict=True)), "work by the new ones")
    for client in clients:
        client.enough.set()
        client.join(120)
    assert {answer for client in clients for answer in client.answers} == {200, 202}
    for task in (task for client in clients for task in client.tasks):
        until(lambda task=task: _state(running.url, task) == "completed", f"end of {task}")  # type: ignore[misc]


def _state(url: str, task: str) -> str:
    return str(requests.get(f"{url}/api/v1/task-status/{task}", timeout=30).json()["status"])


def test_to_zero_and_back_by_a_call(running: Cluster) -> None:
    to_zero = {"min_replicas": 0, "max_replicas": 1, "downscale_delay_s": 1, "look_back_period_s": 2}
    running.deploy(to_zero, 0.02)

    def idle() -> bool:
        """The tracker is a new one, too: what it says of replicas that are not there it must have from one itself."""
        told = health(running.url)
        return told["status"] == "healthy" and not told["diagnostics"]["replicas"]

    until(idle, "healthy without a replica")
    assert status(running.url) == 200


def test_the_gpu_configuration_starts_and_says_what_it_lacks(running: Cluster, tmp_path: Path) -> None:
    """The node has a GPU by name only, as Ray allows: the replica gets it, and torch, made for CPUs, cannot use it."""
    save_lama(tmp_path)
    running.deploy_file("serve_config.gpu.yaml", {"model_dir": str(tmp_path)})

    def told() -> dict[str, Any]:
        state = health(running.url)
        return state if state["diagnostics"]["model"]["configured"] == "lama" and state["degraded"] else {}

    until(lambda: bool(told()), "a word on the device")
    assert told()["status"] == "healthy"
    (sentence,) = told()["degraded"]
    assert (tmp_path / "big-lama.pt").is_file(), "the file is not to blame"
    assert "lama" in sentence
    assert "cuda" in sentence.lower()
    assert "classic" in sentence
    response = requests.post(f"{running.url}/api/v1/inpaint-regions", json={**_BODY, "model": None}, timeout=60)
    assert (response.status_code, response.headers["x-model"]) == (200, "classic")
    assert running.resources_in_use()["GPU"] == 1
