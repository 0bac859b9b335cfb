"""Three Ray nodes, an archive in S3, and one node that dies in the middle of the work."""

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import yaml

from models.geometry import Rect
from models.masks import regions_to_mask
from tests.support.nodes import Nodes
from tests.support.pictures import b64, decoded, encoded, photo, wire
from tests.support.s3 import s3_server
from tests.support.service import ROOT, Service, free_port, start
from tests.support.weights import save_lama

_TASKS = 16
_PIXELS = photo(640, 480)
_REGIONS = [Rect(20 + 150 * (i % 4), 20 + 140 * (i // 4), 60, 20) for i in range(8)]
_BODY: dict[str, Any] = {
    "image": b64(encoded(_PIXELS)), "regions": [wire(rect) for rect in _REGIONS], "model": "fake",
    "hd_strategy": "Crop", "hd_strategy_crop_trigger_size": 128,
}  # fmt: skip


def two_replicas(folder: Path, port: int) -> Path:
    """One CPU each, as has every node: they and the ingress replica are on three nodes."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["proxy_location"] = "HeadOnly"
    (application,) = config["applications"]
    application["args"] = {
        "iopaint_host": "127.0.0.1", "iopaint_port": port, "iopaint_model": "cv2", "iopaint_models": "cv2,fake,lama",
        "model_dir": str(folder), "iopaint_fake_unit_s": 0.05, "task_archive_url": "s3://archive/nodes",
    }  # fmt: skip
    for deployment in application["deployments"]:
        replicas = 2 if deployment["name"] == "Inpainter" else 1
        deployment["autoscaling_config"] = {"min_replicas": replicas, "max_replicas": replicas}
        if deployment["name"] == "Detector":  # or it could take the place that a model replica needs
            deployment["ray_actor_options"] = {"num_cpus": 0}
    path = folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with s3_server() as environment:
        made = Nodes(tmp_path, environment)
        try:
            made.add()
            made.add()
            yield made
        finally:
            made.close()


@pytest.fixture
def service(nodes: Nodes, tmp_path: Path) -> Iterator[Service]:
    port = free_port()
    save_lama(tmp_path)
    made = start(tmp_path, {"RAY_ADDRESS": nodes.address}, port, two_replicas(tmp_path, port))
    try:
        made.wait_healthy()
        wait_for(lambda: len(replicas(made)) == 2, "two replicas")
        yield made
    finally:
        made.kill_node()


def replicas(service: Service) -> list[dict[str, Any]]:
    diagnostics: Any = service.health()["diagnostics"]
    found: list[dict[str, Any]] = diagnostics["replicas"]
    return found


def wait_for(condition: Any, what: str, patience_s: float = 120) -> None:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError(f"no {what} after {patience_s} s")


def victim(nodes: Nodes) -> Service:
    """A worker node with a model replica; the ingress replica is elsewhere, for want of CPUs."""
    for node in nodes.workers:
        if node.named("ray::ServeReplica:iopaint:Inpainter") and not node.named("ray::ServeReplica:iopaint:Ingress"):
            return node
    raise AssertionError("No worker node has a model replica of its own.")


class Caller(threading.Thread):
    """Somebody who makes synchronous calls all the while."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.answers: list[int] = []
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.wait(0.2):
            body = _BODY | {"model": "cv2"}
            answer = requests.post(f"{self._url}/api/v1/inpaint-regions", json=body, timeout=120)
            self.answers.append(answer.status_code)


def assert_a_named_model_is_loaded_once(service: Service) -> None:
    """Although two replicas are free: calls and tasks that name it go to the one that has it."""
    for _ in range(7):
        answer = requests.post(f"{service.url}/api/v1/inpaint-regions", json=_BODY | {"model": "lama"}, timeout=60)
        assert answer.headers["x-model"] == "lama"
    task = requests.post(f"{service.url}/api/v1/inpaint-regions-async", json=_BODY | {"model": "lama"}, timeout=30)
    url = f"{service.url}/api/v1/task-status/{task.json()['task_id']}"
    wait_for(lambda: requests.get(url, timeout=30).json()["status"] == "completed", "end of a task")
    # Nodes that share a machine each pass on what any of them wrote.
    loads = {line for line in service.log.read_text().splitlines() if "engine loaded model=lama" in line}
    assert len(loads) == 1, loads


@pytest.mark.timeout(600)
def test_a_node_dies_and_nothing_accepted_is_lost(service: Service, nodes: Nodes) -> None:
    assert_a_named_model_is_loaded_once(service)
    api = f"{service.url}/api/v1"
    caller = Caller(service.url)
    caller.start()
    names = [str(uuid.uuid4()) for _ in range(_TASKS)]
    for name in names:
        answer = requests.post(f"{api}/inpaint-regions-async", json=_BODY | {"task_id": name}, timeout=30)
        assert answer.status_code == 202, answer.text

    def states() -> list[str]:
        return [requests.get(f"{api}/task-status/{name}", timeout=30).json()["status"] for name in names]

    wait_for(lambda: states().count("completed") >= 2, "first results")
    assert "processing" in states(), "the node must die in the middle of the work"
    victim(nodes).kill_node()
    wait_for(lambda: all(state == "completed" for state in states()), "end of every task", 180)
    caller.enough.set()
    caller.join(120)

    mask = regions_to_mask(_REGIONS, 640, 480) > 0
    pictures = [requests.get(f"{api}/task-result/{name}", timeout=30).content for name in names]
    assert len(set(pictures)) == 1, "the same request gives the same picture on every node"
    out = decoded(pictures[0])
    assert np.array_equal(out[~mask], _PIXELS[~mask])
    assert not np.array_equal(out[mask], _PIXELS[mask])
    # A call whose node dies is made again on another.
    assert len(caller.answers) > 3
    assert set(caller.answers) == {200}
