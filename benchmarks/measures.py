"""What is measured of a picture without its text, and how it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from skimage.metrics import structural_similarity

from benchmarks.pairs import Pair
from models.detect import TextLine
from models.engine import Image
from models.geometry import Polygon

Bools = NDArray[np.bool_]
_FLOOR = 0.05
"""Of the mean square error: 61.1 dB."""
_AGAIN = 0.3
"""A line is found again when so much of it lies in lines that are found."""


@dataclass(frozen=True, slots=True)
class Row:
    """PSNR in dB. AGE in levels of luma; pEPs and pCEPs shares of pixels with an error above 20 (EraseNet's terms)."""

    psnr_strokes: float
    psnr_rest: float
    psnr_box: float
    ssim: float
    age: float
    peps: float
    pceps: float
    outside: int
    iou: float
    recall: float
    lines: int
    lines_again: int
    ms_per_region: float
    erased: float


def measures(
    pair: Pair, after: Image, mask: Bools, allowed: Bools, *, lines: int, lines_again: int, ms_per_region: float,
    erased: float,
) -> Row:  # fmt: skip
    """``mask``: what was masked at first. ``allowed``: where a change is none outside of the regions."""
    boxes = np.zeros(pair.strokes.shape, bool)
    for box in pair.boxes:
        boxes[box.top : box.bottom, box.left : box.right] = True
    strokes = pair.strokes & boxes
    luma = np.rint(np.abs(_luma(after) - _luma(pair.truth)))
    wrong = luma > 20
    kernel = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    clustered = np.asarray(cv2.erode(wrong.astype(np.uint8), kernel), bool)
    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        after, pair.truth, channel_axis=2, full=True
    )
    return Row(
        psnr_strokes=_psnr(after, pair.truth, strokes),
        psnr_rest=_psnr(after, pair.truth, boxes & ~strokes),
        psnr_box=_psnr(after, pair.truth, boxes),
        ssim=float(similarity.mean(2)[boxes].mean()),
        age=float(luma[boxes].mean()),
        peps=float(wrong[boxes].mean()),
        pceps=float(clustered[boxes].mean()),
        outside=int((after != pair.before).any(2)[~allowed].sum()),
        iou=float((mask & strokes).sum() / (mask | strokes).sum()),
        recall=float((mask & strokes).sum() / max(1, strokes.sum())),
        lines=lines,
        lines_again=lines_again,
        ms_per_region=ms_per_region,
        erased=erased,
    )


def again(before: Sequence[TextLine], truth: Sequence[TextLine], after: Sequence[TextLine]) -> int:
    """How many of the lines that were there are found again in the result; not those that the truth shows, too."""
    return sum(_covered(line, after) >= _AGAIN > _covered(line, truth) for line in before)


def _covered(line: TextLine, others: Sequence[TextLine]) -> float:
    box = Polygon(line.points).cover()

    def inside(each: TextLine) -> Bools:
        out = np.zeros((box.height, box.width), np.uint8)
        corners = np.round(np.asarray(each.points) - (box.left, box.top)).astype(np.int32)
        cv2.fillPoly(out, [corners], 1)
        return out > 0

    ours = inside(line)
    union = np.zeros_like(ours)
    for other in others:
        union |= inside(other)
    return float((ours & union).sum() / max(1, ours.sum()))


def _luma(image: Image) -> NDArray[np.float64]:
    return np.asarray(image @ np.array([0.299, 0.587, 0.114]), np.float64)


def _psnr(after: Image, truth: Image, where: Bools) -> float:
    if not where.any():
        return 61.1
    error = float(((after[where].astype(np.float64) - truth[where]) ** 2).mean())
    return float(min(61.1, 10 * np.log10(255**2 / max(error, _FLOOR))))


def table(rows: Mapping[tuple[str, str], Sequence[Row]], brief: bool) -> str:
    """Markdown; means over the pairs of each kind in each way. ``brief``: dB in the boxes, lines found again, time."""
    kinds = [*dict.fromkeys(kind for kind, _ in rows), "mean"]
    names = list(dict.fromkeys(name for _, name in rows))
    chosen = {
        (kind, name): [row for (k, n), found in rows.items() for row in found if n == name and kind in {k, "mean"}]
        for kind in kinds
        for name in names
    }
    return _brief(chosen, kinds, names) if brief else _details(chosen)


def _brief(chosen: Mapping[tuple[str, str], Sequence[Row]], kinds: Sequence[str], names: Sequence[str]) -> str:
    lines = [
        "| dB in the boxes (lines found again) | " + " | ".join(names) + " |",
        "|---|" + "--:|" * len(names),
    ]
    for kind in kinds:
        cells = []
        for name in names:
            rows = chosen[kind, name]
            found, there = sum(row.lines_again for row in rows), sum(row.lines for row in rows)
            cells.append(f"{np.mean([row.psnr_box for row in rows]):.1f} ({found} of {there})")
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    times = [f"{np.median([row.ms_per_region for row in chosen['mean', name]]):.0f}" for name in names]
    return "\n".join([*lines, "| ms of one core per region, median | " + " | ".join(times) + " |"])


def _details(chosen: Mapping[tuple[str, str], Sequence[Row]]) -> str:
    head = (
        "strokes dB | rest dB | box dB | SSIM | AGE | pEPs | pCEPs | outside | IoU | recall | lines | again | ms |"
        " erased"
    )
    lines = [f"| kind | way | {head} |", "|---|---|" + "--:|" * (head.count("|") + 1)]
    places = (1, 1, 1, 3, 2, 4, 4, 0, 2, 3, 1, 2, 0, 2)
    for (kind, name), rows in chosen.items():
        means = [float(np.mean([getattr(row, field) for row in rows])) for field in Row.__slots__]
        lines.append(
            f"| {kind} | {name} | " + " | ".join(f"{m:.{p}f}" for m, p in zip(means, places, strict=True)) + " |"
        )
    return "\n".join(lines)


def titles(names: Sequence[str], width: int) -> Image:
    bar = Pillow.new("RGB", (width * len(names), 28), "white")
    draw = ImageDraw.Draw(bar)
    for index, name in enumerate(names):
        draw.text((width * index + 6, 4), name, "black", ImageFont.load_default(16))
    return np.asarray(bar)
