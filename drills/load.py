"""``scripts/loadtest``: load rises from 1 to 20 clients and falls, with an update meanwhile; Prometheus looks on.

The engine is ``fake``: it only waits, so that several replicas fit on a small machine and what is measured is the
service. Status 1 when a call failed, when the replicas did not follow, or when throughput does not grow with them.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import requests
import yaml
from rich.console import Console
from rich.table import Table

from drills import sizing
from drills.ending import end_on_sigterm
from drills.traffic import request_body
from tests.support.nodes import RayFolder, ray_port
from tests.support.pictures import encoded, photo
from tests.support.prometheus import Prometheus, watching
from tests.support.service import ROOT, Service, free_port, neutral

_UNIT_S = 0.1
"""Four units to a picture: 0.4 s."""
_RISE_AND_FALL = "15:1,55:20,105:20,130:1,185:1"
_UPDATE_AT_S = 80.0
_MAX_REPLICAS = 4
_ALIKE = 0.9
"""Of what so many single replicas would do."""


@dataclass(frozen=True)
class Sample:
    """The service at one moment, ``at_s`` seconds into the test."""

    at_s: float
    replicas: int
    jobs: int
    waiting: float


class Cluster:
    """One Ray node with the dashboard's API, which ``serve deploy`` talks to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ray = RayFolder()
        self._api = f"http://127.0.0.1:{ray_port()}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = neutral() | {
            "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0",
            "TASK_ARCHIVE_URL": str(folder / "archive"), "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": "2",
        }  # fmt: skip
        self._environment = environment
        self._log = (folder / "ray.log").open("ab")
        self._process = subprocess.Popen(
            [_tool("ray"), "start", "--head", "--block", f"--port={ray_port()}", "--num-cpus=16", "--num-gpus=1",
             f"--temp-dir={self._ray.path}",
             f"--dashboard-port={self._api.rsplit(':', 1)[1]}", "--disable-usage-stats"],
            stdout=self._log, stderr=self._log, env=environment, start_new_session=True,
        )  # fmt: skip

    def deploy(self, autoscaling: dict[str, Any], unit_s: float, **user_config: object) -> None:
        """The shipped configuration, with another autoscaling; another ``unit_s`` is another version of the code."""
        arguments = {
            "iopaint_model": "fake", "iopaint_models": "fake", "iopaint_fake_unit_s": unit_s, "log_level": "WARNING",
        }  # fmt: skip
        self.deploy_file(
            "serve_config.yaml", arguments, {"autoscaling_config": autoscaling, "user_config": user_config}
        )

    def deploy_file(self, name: str, arguments: dict[str, Any], inpainter: dict[str, Any] | None = None) -> None:
        """A shipped configuration with its ``args`` and the options of its Inpainter overruled."""
        config = yaml.safe_load((ROOT / name).read_text())
        config["http_options"] |= {"host": "127.0.0.1", "port": self.port}
        (application,) = config["applications"]
        application["args"] |= arguments
        for deployment in application["deployments"]:
            if deployment["name"] == "Inpainter":
                deployment.update(inpainter or {})
        end = time.monotonic() + 180
        while True:  # the dashboard needs a while to come up
            try:
                # As `serve deploy` does, without the start of another Python.
                answer = requests.put(f"{self._api}/api/serve/applications/", json=config, timeout=120)
            except requests.ConnectionError as error:
                if time.monotonic() > end or self._process.poll() is not None:
                    log = (self._folder / "ray.log").read_text()
                    raise RuntimeError(f"Ray did not start: {log[-2000:]}") from error
                time.sleep(0.5)
                continue
            if answer.status_code != 200:
                raise RuntimeError(f"not deployed: {answer.status_code} {answer.text[-2000:]}")
            return

    def resources_in_use(self) -> dict[str, float]:
        """By name, as Ray's autoscaler counts them."""
        answer = requests.get(f"{self._api}/api/cluster_status", timeout=10).json()
        usage = answer["data"]["clusterStatus"]["loadMetricsReport"]["usage"]
        return {name: used for name, (used, _) in usage.items()}

    def sample(self, began: float) -> Sample:
        replicas = requests.get(f"{self.url}/api/v1/health", timeout=30).json()["diagnostics"]["replicas"]
        text = requests.get(f"{self.url}/metrics", timeout=30).text
        waiting = sum(
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith("ray_serve_deployment_queued_queries{") and 'deployment="Inpainter"' in line
        )
        return Sample(
            round(time.monotonic() - began, 1), len(replicas), sum(r["jobs_running"] for r in replicas), waiting
        )

    def wait_for(self, replicas: int, patience_s: float = 180.0) -> None:
        end = time.monotonic() + patience_s
        seen: Any = None
        while time.monotonic() < end:
            try:
                seen = requests.get(f"{self.url}/api/v1/health", timeout=30).json()
                if seen["status"] == "healthy" and len(seen["diagnostics"]["replicas"]) == replicas:
                    return
            except (requests.RequestException, ValueError, KeyError) as error:
                seen = error
            time.sleep(0.5)
        raise TimeoutError(f"{replicas} replicas did not come up: {seen}")

    def close(self) -> None:
        Service(self.url, self._process, self._folder / "ray.log").kill_node()  # in order it would take half a minute
        self._log.close()
        self._ray.remove()


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.close()


def locust(
    tools: Path, folder: Path, url: str, stages: str, body: dict[str, Any], *classes: str
) -> subprocess.Popen[bytes]:
    """Headless; status 1 when any call failed. Its figures, second by second, go to ``load_stats_history.csv``."""
    path = folder / "body.json"
    path.write_text(json.dumps(body))
    with (folder / "locust.log").open("wb") as log:
        return subprocess.Popen(
            [str(tools / "locust"), "-f", str(ROOT / "drills" / "locustfile.py"), *classes, "--headless", "--host", url,
             "--csv", str(folder / "load"), "--csv-full-history", "--stop-timeout", "30"],
            env=dict(os.environ) | {"LOAD_STAGES": stages, "LOAD_BODY": str(path)}, stdout=log, stderr=log,
        )  # fmt: skip


def small_picture() -> dict[str, Any]:
    return request_body(encoded(photo(320, 240)), [{"x": 40, "y": 60, "width": 120, "height": 30}], "fake")


def rate(tools: Path, folder: Path, url: str, clients: int, seconds: int, body: dict[str, Any]) -> dict[str, float]:
    """Totals of ``clients`` that wait for their answers, after a start that does not count."""
    for span in (8, seconds):
        load = locust(tools, folder, url, f"{span}:{clients}", body, "Client")
        if load.wait(span + 180) != 0:
            raise RuntimeError(f"calls failed: {(folder / 'locust.log').read_text()[-2000:]}")
    return totals(folder)


def panels_of(prometheus: Prometheus, start: float, end: float) -> list[dict[str, Any]]:
    """The dashboard's panels with what their queries gave from ``start`` to ``end``."""
    dashboard = json.loads((ROOT / "deploy/monitoring/grafana/dashboards/iopaint.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "15s")
            target["series"] = prometheus.get("query_range", query=query, start=start, end=end, step=2)["result"]
    panels: list[dict[str, Any]] = dashboard["panels"]
    return panels


def totals(folder: Path) -> dict[str, float]:
    with (folder / "load_stats.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row["Name"] == "Aggregated"]
    return {name: float(row[name]) for name in ("Request Count", "Failure Count", "Requests/s", "50%", "95%")}


def rise_and_fall(running: Cluster, tools: Path, folder: Path, console: Console) -> tuple[list[Sample], bool]:
    autoscaling = {
        "min_replicas": 1, "max_replicas": _MAX_REPLICAS, "target_ongoing_requests": 3, "upscale_delay_s": 3,
        "downscale_delay_s": 10, "look_back_period_s": 5, "metrics_interval_s": 1,
    }  # fmt: skip
    running.deploy(autoscaling, _UNIT_S)
    running.wait_for(1)
    load = locust(tools, folder, running.url, _RISE_AND_FALL, small_picture())
    began = time.monotonic()
    update = threading.Timer(_UPDATE_AT_S, running.deploy, (autoscaling, _UNIT_S + 0.001))
    update.start()
    samples = []
    try:
        while load.poll() is None:
            samples.append(running.sample(began))
            now = samples[-1]
            console.print(f"{now.at_s:6.1f} s: {now.replicas} replicas, {now.jobs} jobs, {now.waiting:g} waiting")
            time.sleep(2.0)
    finally:
        update.join()
        if load.poll() is None:
            load.terminate()
            load.wait(30)
    return samples, load.returncode == 0


def throughput(running: Cluster, tools: Path, folder: Path, seconds: int) -> dict[int, float]:
    """Calls a second by replicas, the engine being the limit."""
    found = {}
    for replicas in range(1, _MAX_REPLICAS + 1):
        running.deploy({"min_replicas": replicas, "max_replicas": replicas}, _UNIT_S + 0.01)
        running.wait_for(replicas)
        found[replicas] = rate(tools, folder, running.url, 6 * replicas, seconds, small_picture())["Requests/s"]
    return found


def main(arguments: list[str] | None = None) -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="scripts/loadtest", description=__doc__)
    parser.add_argument("--tools", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=20, help="of each measurement of throughput")
    parser.add_argument("--plots", type=Path, default=ROOT / "docs" / "images", help="folder of the pictures made")
    parser.add_argument("--sizes", action="store_true", help="measure real engines on this machine's CPUs instead")
    given = parser.parse_args(arguments)
    console = Console(width=120)
    if given.sizes:
        return sizing.main(given.tools, given.seconds, console)
    with tempfile.TemporaryDirectory(prefix="load-") as name, cluster(Path(name)) as running:
        folder = Path(name)
        with watching(running.url.removeprefix("http://")) as prometheus:
            began = time.time()
            samples, clean = rise_and_fall(running, given.tools, folder, console)
            panels = {"panels": panels_of(prometheus, began, time.time()), "update_at_s": _UPDATE_AT_S}
            (folder / "panels.json").write_text(json.dumps(panels))
        with (folder / "samples.csv").open("w") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
            writer.writeheader()
            writer.writerows(asdict(sample) for sample in samples)
        for script, picture in (("load_plot.py", "scaling.png"), ("dashboard_plot.py", "dashboard.png")):
            plot = [given.tools / "python", ROOT / "drills" / script, folder, given.plots / picture, str(_UPDATE_AT_S)]
            subprocess.run([str(part) for part in plot], check=True)
        load = totals(folder)
        if not clean:
            console.print((folder / "locust.log").read_text()[-3000:])
        rates = throughput(running, given.tools, folder, given.seconds)
    table = Table("", "", title="Load of 1 to 20 clients and back, an update in the middle")
    table.add_row("calls, failed", f"{load['Request Count']:.0f}, {load['Failure Count']:.0f}")
    table.add_row("milliseconds: median, 95 %", f"{load['50%']:.0f}, {load['95%']:.0f}")
    most = max(sample.replicas for sample in samples)
    table.add_row("replicas: first, most, last", f"{samples[0].replicas}, {most}, {samples[-1].replicas}")
    for replicas, rate in rates.items():
        share = rate / (replicas * rates[1])
        table.add_row(f"calls a second with {replicas} replicas", f"{rate:.2f} ({share:.2f} of {replicas} x one)")
    console.print(table)
    followed = most >= _MAX_REPLICAS and samples[-1].replicas == 1
    linear = all(rate >= _ALIKE * replicas * rates[1] for replicas, rate in rates.items())
    return 0 if clean and followed and linear else 1


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


if __name__ == "__main__":
    sys.exit(main())
