"""How good the pictures are: `python -m benchmarks.quality [--pages] [--out docs]`. Pairs whose truth is known.

Seeds were not used for tuning. PSNR is at most 61.1 dB.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage.metrics import structural_similarity

from benchmarks.pages import browser_pairs
from benchmarks.pairs import HELD_OUT_SEED, Pair, make_pairs
from models import codec
from models.engine import Image, InpaintEngine
from models.engines.classic.engine import ClassicEngine
from models.engines.opencv import OpenCVEngine
from models.geometry import Rect
from models.job import InpaintJob, MaskMode, MaskOptions, OutputOptions, RegionReport
from models.pipeline import ProgressEvent, process

Bools = NDArray[np.bool_]
_FLOOR = 0.05
"""Of the mean square error: 61.1 dB."""
_MODES = (MaskMode.BOX, MaskMode.STROKES, MaskMode.AUTO)


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
    ms_per_region: float
    judged_erased: float


def measure(pair: Pair, engine: InpaintEngine, mode: MaskMode) -> tuple[Row, Image]:
    """One picture through the whole pipeline, as the service runs it."""
    regions = tuple(Rect(box.left, box.top, box.width, box.height) for box in pair.boxes)
    started = time.perf_counter()
    result, mask = _run(pair, engine, regions, mode, "image"), None
    seconds = time.perf_counter() - started
    after = result[0]
    mask = _run(pair, engine, regions, mode, "mask")[0][..., 0] > 0
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
    erased = [one.erased is not False for one in result[1]]
    row = Row(
        psnr_strokes=_psnr(after, pair.truth, strokes),
        psnr_rest=_psnr(after, pair.truth, boxes & ~strokes),
        psnr_box=_psnr(after, pair.truth, boxes),
        ssim=float(similarity.mean(2)[boxes].mean()),
        age=float(luma[boxes].mean()),
        peps=float(wrong[boxes].mean()),
        pceps=float(clustered[boxes].mean()),
        outside=int((after != pair.before).any(2)[~boxes].sum()),
        iou=float((mask & strokes).sum() / (mask | strokes).sum()),
        recall=float((mask & strokes).sum() / max(1, strokes.sum())),
        ms_per_region=1000 * seconds / len(pair.boxes),
        judged_erased=sum(erased) / len(erased),
    )
    return row, after


def _run(
    pair: Pair, engine: InpaintEngine, regions: tuple[Rect, ...], mode: MaskMode, kind: str
) -> tuple[Image, tuple[RegionReport, ...]]:
    output = OutputOptions(kind="mask" if kind == "mask" else "image")
    result = process(
        InpaintJob(regions, masking=MaskOptions(mode), output=output), _png(pair.before), None, engine,
        max_pixels=10**8, max_window_px=2048, on_progress=_ignore, should_stop=lambda: False,
    )  # fmt: skip
    return codec.decode(result.data, max_pixels=10**8).rgb, result.stats.regions


def _ignore(event: ProgressEvent) -> None:
    """Nobody watches."""


def _png(image: Image) -> bytes:
    return bytes(cv2.imencode(".png", image[..., ::-1])[1])


def _luma(image: Image) -> NDArray[np.float64]:
    return np.asarray(image @ np.array([0.299, 0.587, 0.114]), np.float64)


def _psnr(after: Image, truth: Image, where: Bools) -> float:
    if not where.any():
        return 61.1
    error = float(((after[where].astype(np.float64) - truth[where]) ** 2).mean())
    return float(min(61.1, 10 * np.log10(255**2 / max(error, _FLOOR))))


def table(rows: dict[tuple[str, str, str], list[Row]], kinds: Iterable[str]) -> str:
    """Markdown: each kind of background in each mode and engine; means over the pairs."""
    lines = [
        "| ground | engine | mode | strokes dB | rest dB | box dB | SSIM | AGE | pEPs | pCEPs | outside | IoU |"
        " recall | ms | erased |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind in (*kinds, "mean"):
        for engine, mode in dict.fromkeys((key[1], key[2]) for key in rows):
            chosen = [row for key, found in rows.items() for row in found
                      if key[1:] == (engine, mode) and kind in {key[0], "mean"}]  # fmt: skip
            mean = {name: float(np.mean([getattr(row, name) for row in chosen])) for name in Row.__slots__}
            lines.append(
                f"| {kind} | {engine} | {mode} | {mean['psnr_strokes']:.1f} | {mean['psnr_rest']:.1f} |"
                f" {mean['psnr_box']:.1f} | {mean['ssim']:.3f} | {mean['age']:.2f} | {mean['peps']:.4f} |"
                f" {mean['pceps']:.4f} | {mean['outside']:.0f} | {mean['iou']:.2f} | {mean['recall']:.3f} |"
                f" {mean['ms_per_region']:.0f} | {mean['judged_erased']:.2f} |"
            )
    return "\n".join(lines)


def _sheet(pictures: list[list[Image]]) -> Image:
    height, width = 200, 480
    shown = [np.hstack([cv2.resize(one, (width, height)) for one in row]) for row in pictures]
    return np.asarray(np.vstack(shown), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-kind", type=int, default=9, help="synthetic pairs for each background")
    parser.add_argument("--pages", action="store_true", help="pages of a real browser (needs chromium) instead")
    parser.add_argument("--engines", default="cv2,classic")
    parser.add_argument("--sheet", type=Path, help="PNG: before, then each mode and engine, then the truth")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    known: dict[str, InpaintEngine] = {"cv2": OpenCVEngine(), "classic": ClassicEngine()}
    pairs = browser_pairs() if options.pages else make_pairs(HELD_OUT_SEED, options.per_kind)
    rows: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    pictures: dict[str, list[Image]] = {}
    for pair in pairs:
        row = [pair.before]
        for name in options.engines.split(","):
            for mode in _MODES:
                measured, after = measure(pair, known[name], mode)
                rows[pair.kind, name, mode].append(measured)
                row.append(after)
        pictures.setdefault(pair.kind, [*row, pair.truth])
    print(table(rows, dict.fromkeys(pair.kind for pair in pairs)))
    if options.sheet:
        Pillow.fromarray(_sheet(list(pictures.values()))).save(options.sheet, optimize=True)


if __name__ == "__main__":
    main()
