"""The dashboard and the alerts ask for figures that exist, and Prometheus can read them."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray.serve
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deployments.metrics import METRICS
from tests.support.prometheus import tool

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "monitoring"
DASHBOARD = FOLDER / "grafana" / "dashboards" / "iopaint.json"
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def exported() -> set[str]:
    return {f"ray_{name}{suffix}" for name, metric in METRICS.items() for suffix in SUFFIXES[metric.kind]}


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def serves_own() -> str:
    folder = Path(ray.serve.__file__).parent
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.py")))


def test_every_figure_that_is_asked_for_exists() -> None:
    source = serves_own()
    for where, expression in expressions():
        for name in re.findall(r"\bray_\w+", expression):
            if name.startswith("ray_iopaint_"):
                assert name in exported(), f"{where}: {name}"
            else:
                stem = re.sub(r"_(total|bucket|sum|count)$", "", name.removeprefix("ray_"))
                # Serve puts the protocol into the names of these.
                spelled = stem.replace("_http_", "_{protocol_name}_")
                assert f'"{stem}"' in source or f'"{spelled}"' in source, f"{where}: {name}"


def test_every_figure_of_ours_is_on_the_dashboard() -> None:
    asked = " ".join(expression for _, expression in expressions())
    missing = [name for name in METRICS if f"ray_{name}" not in asked]
    assert missing == []


def test_every_alert_is_in_the_runbook() -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text()
    assert {rule["alert"] for rule in RULES} <= set(re.findall(r"^### (\w+)$", runbook, re.MULTILINE))


def changed_by_grafana(dashboard: dict[str, Any]) -> list[str]:
    """What Grafana's own schema of dashboards does not keep, or keeps otherwise: it drops what it does not know."""
    register_default_plugins()
    kept = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))

    def compare(ours: object, theirs: object, where: str) -> list[str]:
        if isinstance(ours, dict) and isinstance(theirs, dict):
            return [f for key in ours for f in compare(ours[key], theirs.get(key), f"{where}.{key}")]
        if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
            return [f for n, pair in enumerate(zip(ours, theirs, strict=True)) for f in compare(*pair, f"{where}[{n}]")]
        return [] if ours == theirs else [where]

    return compare(dashboard, kept, "")


def test_grafanas_schema_keeps_all_of_the_dashboard() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert changed_by_grafana(dashboard) == []
    # The check itself can fail.
    dashboard["panels"][0]["fieldconfig"] = {}
    dashboard["panels"][1]["options"]["graphmode"] = "area"
    assert changed_by_grafana(dashboard) == [".panels[0].fieldconfig", ".panels[1].options.graphmode"]


def test_the_dashboard_is_laid_out() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    rules = {"groups": [{"name": "iopaint", "rules": [rule | {"annotations": {}} for rule in RULES]}]}
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    text = (Path(__file__).parent / "alerts.test.yml").read_text()
    (tmp_path / "alerts.test.yml").write_text(text.replace("ALERTS", "alerts.yml"))
    command = [tool("promtool"), "test", "rules", str(tmp_path / "alerts.test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tried = set(re.findall(r"alertname: (\w+), exp_alerts: \[\{", text))
    assert tried == {rule["alert"] for rule in RULES}


def test_prometheus_reads_the_line_for_a_service_with_keys(tmp_path: Path) -> None:
    text = (FOLDER / "prometheus.yml").read_text()
    (path,) = re.findall(r"# authorization: \{credentials_file: (\S+)\}", text)
    assert f":{path}:ro" in (ROOT / "compose.yaml").read_text()
    (tmp_path / "api-key").write_text("a-key")
    (tmp_path / "alerts.yml").write_text("groups: []")
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("# authorization:", "authorization:").replace(path, str(tmp_path / "api-key")))
    done = subprocess.run(
        [tool("promtool"), "check", "config", str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_everything(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, (_, expression) in enumerate(expressions())
    ]
    panels = tmp_path / "panels.yml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    for command in (["config", str(FOLDER / "prometheus.yml")], ["rules", str(panels)]):
        done = subprocess.run([tool("promtool"), "check", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
