"""Draws a load test: ``python load_plot.py FOLDER PICTURE UPDATE_AT_S``. For ``scripts/loadtest``."""

import csv
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def main(folder: Path, picture: Path, update_at_s: float) -> None:
    load = [row for row in rows(folder / "load_stats_history.csv") if row["Name"] == "Aggregated"]
    start = int(load[0]["Timestamp"])
    seconds = [int(row["Timestamp"]) - start for row in load]
    samples = rows(folder / "samples.csv")
    at = [float(row["at_s"]) for row in samples]
    figure, axes = plt.subplots(4, 1, figsize=(9, 9), sharex=True, layout="constrained")
    axes[0].plot(seconds, [int(row["User Count"]) for row in load], color="black", label="clients")
    axes[0].plot(seconds, [float(row["Requests/s"]) for row in load], color="tab:green", label="calls a second")
    axes[1].step(at, [int(row["replicas"]) for row in samples], where="post", color="tab:blue", label="model replicas")
    axes[2].plot(at, [float(row["waiting"]) for row in samples], color="tab:orange", label="calls waiting")
    axes[2].plot(at, [int(row["jobs"]) for row in samples], color="tab:blue", label="jobs in the replicas")
    for name, colour in (("50%", "tab:green"), ("95%", "tab:red")):
        points = [(s, float(row[name]) / 1000) for s, row in zip(seconds, load, strict=True) if row[name] != "N/A"]
        axes[3].plot(*zip(*points, strict=True), color=colour, label=f"latency, {name} (s)")
    axes[3].set_xlabel("seconds")
    for axis in axes:
        axis.axvline(update_at_s, color="grey", linestyle=":", label="update")
        axis.set_ylim(bottom=0)
        axis.legend(loc="upper right")
        axis.grid(alpha=0.3)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
