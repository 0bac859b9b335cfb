"""Draws what was measured: ``python plot.py FOLDER PICTURE``. For ``scripts/benchmark report``."""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

_COLOURS = {"iopaint start": "tab:gray", "this service": "tab:blue"}
_HATCHES = {"Original": "", "Crop": "//", "Auto": ".."}


def main(folder: Path, picture: Path) -> None:
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    rows = [row for size in (512, 1024, 2048) for row in found.get(f"http-{size}", {"rows": []})["rows"]]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained", width_ratios=(3, 2))
    wanted = [row for row in rows if row["regions"] == 8]
    names = [f"{row['size']}²  {row['strategy']}" for row in wanted]
    for place, row in enumerate(wanted):
        left.barh(
            place, row["seconds"], color=_COLOURS[row["server"]], hatch=_HATCHES[row["strategy"]], edgecolor="white"
        )
        left.annotate(f" {row['seconds']:.2f} s", (row["seconds"], place), va="center", fontsize=8)
    left.set_yticks(range(len(wanted)), names)
    left.invert_yaxis()
    left.set_xscale("log")
    left.margins(x=0.2)
    left.set_title("One picture with 8 lines over HTTP, seconds (gray: iopaint start)")
    scaling = found.get("scaling", {"rows": []})["rows"]
    # Four lines were measured twice: with other numbers of lines, and with other sizes.
    by_regions = {row["regions"]: row["seconds"] for row in reversed(scaling) if row["size"] == 1024 and row["regions"]}
    right.plot(*zip(*sorted(by_regions.items()), strict=True), "o-", label="1024², by lines")
    right.set_xlabel("lines in the picture")
    right.set_ylabel("seconds")
    right.set_ylim(bottom=0)
    right.grid(alpha=0.3)
    right.legend()
    right.set_title("Auto: cost by lines")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
