"""A real Prometheus watches the real service: every panel of the dashboard has data, every rule is evaluated."""

import json
import threading
import uuid

import requests

from tests.serve.test_service import BODY
from tests.support.prometheus import FOLDER, Prometheus, watching
from tests.support.service import Service

_PANELS = json.loads((FOLDER / "grafana" / "dashboards" / "iopaint.json").read_text())["panels"]


def expressions() -> dict[str, str]:
    return {f"{panel['title']} {t['refId']}": t["expr"] for panel in _PANELS for t in panel["targets"]}


class Traffic(threading.Thread):
    """Calls, tasks with a callback that nobody takes, and calls that are refused, until told to stop."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self._api = f"{service.url}/api/v1"
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.wait(0.3):
            requests.post(f"{self._api}/inpaint-regions", json=BODY, timeout=60)
            task = BODY | {"task_id": uuid.uuid4().hex, "callback_url": "http://127.0.0.1:9/nobody"}
            requests.post(f"{self._api}/inpaint-regions-async", json=task, timeout=60)
            requests.get(f"{self._api}/task-status/no-such-task", timeout=60)


def test_every_panel_has_data_and_every_rule_is_evaluated(service: Service) -> None:
    traffic = Traffic(service)
    with watching(service.url.removeprefix("http://")) as prometheus:
        traffic.start()
        try:
            prometheus.wait(lambda p: not missing(p), "data on every panel")
        except AssertionError as error:
            raise AssertionError(f"no data: {missing(prometheus)}") from error
        finally:
            traffic.enough.set()
            traffic.join(60)
        (target,) = prometheus.get("targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        (group,) = prometheus.get("rules")["groups"]
        assert {rule["health"] for rule in group["rules"]} == {"ok"}
        assert prometheus.ask("sum(ray_iopaint_attempts_lost_total)"), (
            "a counter begins at zero, or its first is no rise"
        )


def missing(prometheus: Prometheus) -> list[str]:
    return [title for title, expression in expressions().items() if not prometheus.ask(expression)]
