"""How a real service starts, with settings that are wrong, and without weights, which arrive later; how it ends."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from models.weights import sha256
from tests.support.pictures import b64, decoded, encoded, photo, wire, with_text
from tests.support.prometheus import watching
from tests.support.service import ROOT, Service, running
from tests.support.weights import Columns, save_lama

PIXELS, REGION = with_text(photo(640, 480))
BODY: dict[str, Any] = {"image": b64(encoded(PIXELS)), "regions": [wire(REGION)]}


@pytest.mark.parametrize(
    ("name", "value"), [("IOPAINT_MODEL", "lamma"), ("IOPAINT_PORT", "http"), ("IOPAINT_DEVICE", "gpu")]
)
def test_a_wrong_setting_stops_the_start_with_one_line(name: str, value: str) -> None:
    run = subprocess.run(
        [str(ROOT / "scripts/serve")],
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert name in run.stderr
    assert value in run.stderr


def assert_auto_takes_the_network_where_it_wins(service: Service) -> None:
    """The network knows columns of ramps perfectly, and everything else badly."""
    rng = np.random.default_rng(1)
    ends = rng.uniform(0, 255, (2, 1, 640, 3))
    ramps = np.rint(ends[0] + (ends[1] - ends[0]) * np.linspace(0, 1, 480)[:, None, None]).astype(np.uint8)
    for clean, winner in ((ramps, {"lama"}), (photo(640, 480), {"local-surface", "wide-surface", "biharmonic"})):
        shown, region = with_text(clean)
        body = {"image": b64(encoded(shown)), "regions": [wire(region)], "model": "auto"}
        told = requests.post(f"{service.url}/api/v1/inpaint-regions-json", json=body, timeout=60).json()
        (report,) = told["processing_stats"]["regions"]
        assert report["model"] in winner, report
        picture = requests.post(f"{service.url}/api/v1/inpaint-regions", json=body, timeout=60)
        assert picture.headers["x-model"] == "auto"
        if winner == {"lama"}:
            assert report["trial_error"] < 1.5
            assert np.abs(decoded(picture.content).astype(int) - clean).max() <= 8


def weights_arrive(service: Service, folder: Path) -> None:
    save_lama(folder, Columns())
    end = time.monotonic() + 150
    # What remains is that these columns are no LaMa, so that they run as TorchScript.
    while "is not in use" in str(service.health()["degraded"]):
        assert time.monotonic() < end, "the weights are there, and not in use"
        time.sleep(0.5)
    response = requests.post(f"{service.url}/api/v1/inpaint-regions", json=BODY, timeout=60)
    assert response.headers["x-model"] == "lama"
    model = requests.get(f"{service.url}/api/v1/model", timeout=10).json()
    assert (model["name"], model["status"]) == ("lama", "ready")
    assert model["parameters"]["weights_sha256"] == sha256(folder / "big-lama.pt")


def test_without_weights_it_says_so_takes_them_when_they_arrive_and_ends_in_order(tmp_path: Path) -> None:
    """One service for the whole story, since each start takes its time; the weights' coming needs no restart."""
    environment = {"IOPAINT_MODEL": "lama", "LAMA_MODEL_URL": "http://127.0.0.1:9/big-lama.pt"}
    with running(tmp_path, MODEL_DIR=str(tmp_path / "weights"), **environment) as service:
        health = service.health()
        assert health["status"] == "healthy"
        assert "big-lama.pt" in str(health["degraded"])
        response = requests.post(f"{service.url}/api/v1/inpaint-regions", json=BODY, timeout=60)
        assert response.headers["x-model"] == "classic"
        named = requests.post(f"{service.url}/api/v1/inpaint-regions", json=BODY | {"model": "lama"}, timeout=60)
        assert (named.status_code, named.json()["error"]) == (503, "model_unavailable")
        assert "retry-after" in named.headers
        auto = requests.post(f"{service.url}/api/v1/inpaint-regions", json=BODY | {"model": "auto"}, timeout=60)
        assert (auto.status_code, auto.headers["x-model"]) == (200, "auto")
        assert "auto chose among the weightless fills only" in auto.headers["x-notes"]
        assert np.array_equal(decoded(auto.content), decoded(response.content))
        with watching(service.url.removeprefix("http://"), hold="1s") as prometheus:
            prometheus.wait(lambda p: p.alerts().get("FallbackInUse") == "firing", "alert")
            weights_arrive(service, tmp_path / "weights")
            prometheus.wait(lambda p: "FallbackInUse" not in p.alerts(), "end of the alert")
        assert_auto_takes_the_network_where_it_wins(service)
        children = service.descendants()
        assert len(children) > 5
        assert service.stop() == 0
        for _ in range(50):
            left = {pid for pid in children if Path(f"/proc/{pid}").exists()}
            if not left:
                break
            time.sleep(0.2)
        assert left == set(), "processes were left behind"
