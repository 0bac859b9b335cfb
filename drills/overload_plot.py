"""Draws an overload: ``python overload_plot.py FOLDER PICTURE END END END``. For ``scripts/overload``."""

import csv
import sys
from collections import Counter
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

_COLOURS = {200: "tab:green", 202: "tab:blue", 429: "tab:orange", 503: "tab:red", 0: "black"}


def rows(path: Path) -> list[list[float]]:
    with path.open() as file:
        return [[float(cell) for cell in row[:3]] for row in csv.reader(file)]


def main(folder: Path, picture: Path, ends: list[float]) -> None:
    calls, probes, memory = (rows(folder / f"{name}.csv") for name in ("calls", "probes", "memory"))
    figure, axes = plt.subplots(3, 1, figsize=(9, 8), sharex=True, layout="constrained")
    for status in sorted({int(call[2]) for call in calls}):
        counts = Counter(int(at) for at, _, code in calls if int(code) == status)
        seconds = range(int(ends[-1]) + 1)
        label = {0: "no answer", 200: "200 picture", 202: "202 accepted"}.get(status, f"{status} refused")
        axes[0].step(
            seconds, [counts[s] for s in seconds], where="post", color=_COLOURS.get(status, "grey"), label=label
        )
    axes[0].set_ylabel("calls a second, when sent")
    axes[1].scatter(
        [p[0] for p in probes], [1000 * p[1] for p in probes], s=3, color="tab:purple", label="health, status"
    )
    axes[1].axhline(200, color="grey", linestyle="--", label="200 ms")
    axes[1].set_ylabel("milliseconds")
    axes[2].plot(
        [m[0] for m in memory], [m[1] / 2**20 for m in memory], color="tab:brown", label="memory, all processes"
    )
    axes[2].set_ylabel("MiB")
    axes[2].set_xlabel("seconds")
    for axis in axes:
        axis.axvspan(ends[0], ends[1], color="tab:red", alpha=0.07)
        axis.set_ylim(bottom=0)
        axis.legend(loc="upper right")
        axis.grid(alpha=0.3)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [float(end) for end in sys.argv[3:]])
