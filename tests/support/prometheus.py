"""A real Prometheus with the shipped configuration; names, times and the address of what it watches are the test's."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.support.service import ROOT, free_port

FOLDER = ROOT / "deploy" / "monitoring"


@cache
def tool(name: str) -> str:
    """Path of ``prometheus`` or ``promtool``."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "setup_prometheus")], stdout=subprocess.PIPE, text=True, timeout=280, check=True
    )
    return str(Path(done.stdout.strip()) / name)


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str | float) -> Any:
        response = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Series with a value that is a number now; ``$__rate_interval`` is 15 s, as with a scrape each second."""
        found = self.get("query", query=expression.replace("$__rate_interval", "15s"))
        series = found["result"] if found["resultType"] == "vector" else [{"metric": {}, "value": found["result"]}]
        return [one for one in series if one["value"][1] != "NaN"]

    def alerts(self) -> dict[str, str]:
        """``firing`` or ``pending`` by name."""
        return {alert["labels"]["alertname"]: alert["state"] for alert in self.get("alerts")["alerts"]}

    def wait(self, condition: Callable[["Prometheus"], object], what: str, patience_s: float = 60) -> None:
        end = time.monotonic() + patience_s
        while not condition(self):
            assert time.monotonic() < end, f"no {what}; alerts: {self.alerts()}; targets: {self.get('targets')}"
            time.sleep(0.5)


@contextmanager
def watching(address: str, hold: str | None = None) -> Iterator[Prometheus]:
    """Scrapes ``host:port`` every second. ``hold`` stands in for the time that alerts wait before they fire."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (scrape,) = config["scrape_configs"]
    del scrape["dns_sd_configs"]
    scrape["static_configs"] = [{"targets": [address]}]
    for rule in rules["groups"][0]["rules"] if hold else ():
        rule["for"] = hold
    with tempfile.TemporaryDirectory(prefix="prometheus-") as name:
        folder, port = Path(name), free_port()
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (folder / "alerts.yml").write_text(yaml.safe_dump(rules))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{port}"],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            made = Prometheus(f"http://127.0.0.1:{port}")
            _wait_ready(made, process, folder / "log")
            yield made
        finally:
            process.terminate()
            process.wait(30)


def _wait_ready(prometheus: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if requests.get(f"{prometheus.url}/-/ready", timeout=5).status_code == 200:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"Prometheus did not start: {log.read_text()[-2000:]}")
