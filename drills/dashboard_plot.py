"""Draws the dashboard from what Prometheus answered: ``python dashboard_plot.py FOLDER PICTURE``."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def label(target: dict[str, Any], metric: dict[str, str]) -> str:
    text: str = target.get("legendFormat") or ""
    for name, value in metric.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def draw(axis: Any, panel: dict[str, Any], start: float) -> None:
    axis.set_title(panel["title"], fontsize=8, loc="left")
    axis.tick_params(labelsize=6)
    unit = panel["fieldConfig"]["defaults"].get("unit", "")
    for target in panel["targets"]:
        for series in target["series"]:
            points = [(float(at) - start, float(value)) for at, value in series["values"] if value != "NaN"]
            if panel["type"] == "stat" and points:
                axis.axis("off")
                axis.text(0.5, 0.45, f"{points[-1][1]:.3g} {unit}", ha="center", va="center", fontsize=13)
            elif points:
                axis.plot(*zip(*points, strict=True), linewidth=0.9, label=label(target, series["metric"]))
    if panel["type"] != "stat":
        axis.set_ylim(bottom=0)
        axis.set_ylabel(unit, fontsize=6)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=5, loc="upper right")


def main(folder: Path, picture: Path) -> None:
    panels = json.loads((folder / "panels.json").read_text())["panels"]
    starts = [s["values"][0][0] for panel in panels for target in panel["targets"] for s in target["series"]]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(14, rows * 0.32), layout="constrained")
    grid = figure.add_gridspec(rows, 24)
    for panel in panels:
        at = panel["gridPos"]
        axis = figure.add_subplot(grid[at["y"] : at["y"] + at["h"], at["x"] : at["x"] + at["w"]])
        draw(axis, panel, min(starts))
    figure.savefig(picture, dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
