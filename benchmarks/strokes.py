"""How well strokes are found, without filling: `python -m benchmarks.strokes [--pages CACHE] [--tuning] [--scale N]`.

For every kind of ground: recall of the true strokes, the mask's area over that of the true strokes dilated by 2 pixels,
how many regions reach 0.99 within 1.0, and the time; then how often the verdict is right, for what is erased and not.
"""

import argparse
import pickle
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from benchmarks.backgrounds import BACKGROUNDS
from benchmarks.pages import browser_pairs
from benchmarks.pairs import HELD_OUT_SEED, STYLES, TUNING_SEED, Pair, make_pair
from models.engine import Image
from models.engines.classic.engine import ClassicEngine
from models.geometry import Rect
from models.job import DiffusionOptions, InpaintJob, MaskMode, MaskOptions
from models.pipeline import process
from models.strokes.finder import Strokes, find_strokes, occupied_by
from models.strokes.verdict import residual

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Row:
    recall: float
    area: float
    """Of the mask, over that of the true strokes dilated by 2 pixels."""
    iou: float
    confidence: float
    overlap: float
    """Dice, with the true strokes grown by one pixel: what the confidence promises."""
    ms: float
    size: int

    @property
    def good(self) -> bool:
        return self.recall >= 0.99 and self.area <= 1


def regions_of(pair: Pair) -> list[tuple[NDArray[np.bool_], Strokes]]:
    """True strokes within each region, and what was found there."""
    covers = [(box, np.ones((box.height, box.width), bool)) for box in pair.boxes]
    true = [pair.strokes[b.top : b.bottom, b.left : b.right] for b in pair.boxes]
    return list(zip(true, find_strokes(pair.before, covers), strict=True))


def measure(pair: Pair) -> Iterator[Row]:
    started = time.process_time()  # of this one thread: others use the machine, too
    found = regions_of(pair)
    ms = 1000 * (time.process_time() - started) / len(found)
    for true, strokes in found:
        if not true.any():
            continue
        grown = _grown(true, 2)
        both = int((strokes.mask & true).sum())
        near = _grown(true, 1)
        overlap = 2 * int((strokes.mask & near).sum()) / max(1, int(strokes.mask.sum()) + int(near.sum()))
        yield Row(
            both / int(true.sum()), int(strokes.mask.sum()) / int(grown.sum()), both / int((strokes.mask | true).sum()),
            strokes.confidence, overlap, ms, true.size,
        )  # fmt: skip


def _grown(mask: Bools, radius_px: int) -> Bools:
    padded = np.pad(mask.astype(np.uint8), radius_px)
    return np.asarray(cv2.dilate(padded, _disc(radius_px))[radius_px:-radius_px, radius_px:-radius_px] > 0)


def _disc(radius_px: int) -> NDArray[np.uint8]:
    size = (2 * radius_px + 1, 2 * radius_px + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size), np.uint8)


def synthetic(first_seed: int, per_style: int, scale: int = 1) -> list[Pair]:
    return [
        make_pair(kind, style, first_seed + 10_000 * row + 100 * column + index, scale)
        for row, kind in enumerate(BACKGROUNDS)
        for column, style in enumerate(STYLES)
        for index in range(per_style)
    ]


def pages(cache: Path, seed: int) -> list[Pair]:
    """Rendered once, then read from ``cache`` (a file of our own: it is unpickled)."""
    file = cache.with_suffix(f".{seed}.pickle")
    if not file.exists():
        file.write_bytes(pickle.dumps(browser_pairs(seed=seed)))
    loaded: list[Pair] = pickle.loads(file.read_bytes())
    return loaded


def results(pair: Pair) -> dict[str, tuple[Image, bool]]:
    """What a fill may have left, and whether the text is gone from it."""
    before, truth, strokes = pair.before, pair.truth, pair.strokes.astype(np.uint8)
    wide = np.asarray(cv2.dilate(strokes, _disc(3)), np.uint8)
    narrow = np.asarray(cv2.erode(strokes, np.ones((3, 3), np.uint8)), np.uint8)
    boxes = np.zeros_like(strokes)
    half, letter = before.copy(), truth.copy()
    for box in pair.boxes:
        boxes[box.top : box.bottom, box.left : box.right] = 1
        if box.width >= box.height:
            middle, part = box.left + box.width // 2, max(10, box.width // 7)
            first, some = (box.left, box.top, middle, box.bottom), (middle, box.top, middle + part, box.bottom)
        else:
            middle, part = box.top + box.height // 2, max(10, box.height // 7)
            first, some = (box.left, box.top, box.right, middle), (box.left, middle, box.right, middle + part)
        _copy(half, truth, *first)
        _copy(letter, before, *some)
    faint = np.rint(truth * 0.65 + before * 0.35).astype(np.uint8)
    return {
        "truth": (truth, True),
        "strokes filled by cv2": (_inpainted(before, wide, cv2.INPAINT_NS), True),
        "box filled by cv2": (_inpainted(before, boxes, cv2.INPAINT_TELEA), True),
        "strokes filled by classic": (_classic(before, wide), True),
        "as before": (before, False),
        "half of it left": (half, False),
        "a letter left": (letter, False),
        "a faint ghost": (faint, False),
        "outlines left": (np.where(narrow[..., None] > 0, truth, before), False),
    }


def _copy(onto: Image, source: Image, left: int, top: int, right: int, bottom: int) -> None:
    onto[top:bottom, left:right] = source[top:bottom, left:right]


def _inpainted(before: Image, mask: NDArray[np.uint8], method: int) -> Image:
    return np.asarray(cv2.inpaint(before, mask, 3, method), np.uint8)


def _classic(before: Image, mask: NDArray[np.uint8]) -> Image:
    return ClassicEngine().run(before, mask * np.uint8(255), DiffusionOptions(), lambda *_: None, lambda: False).image


def verdicts(pairs: list[Pair]) -> str:
    """For each sort of result, how often the verdict was right; and over all, both ways."""
    told: dict[str, list[tuple[bool, bool, float]]] = defaultdict(list)
    for pair in pairs:
        covers = [(box, np.ones((box.height, box.width), bool)) for box in pair.boxes]
        found, occupied = find_strokes(pair.before, covers), occupied_by(pair.before, covers)
        for name, (after, erased) in results(pair).items():
            for strokes, (box, cover) in zip(found, covers, strict=True):
                if pair.strokes[box.top : box.bottom, box.left : box.right].any():
                    verdict = residual(pair.before, after, strokes, cover, occupied)
                    told[name].append((erased, verdict.erased, verdict.score))
    lines = [
        "| what was left | cases | judged erased | right | score: 5 % | median | 95 % |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    told["all"] = [one for cases in told.values() for one in cases]
    for name, cases in told.items():
        right = np.mean([erased == said for erased, said, _ in cases])
        said = np.mean([said for _, said, _ in cases])
        low, middle, high = np.quantile([score for *_, score in cases], (0.05, 0.5, 0.95))
        lines.append(f"| {name} | {len(cases)} | {said:.3f} | {right:.3f} | {low:.3f} | {middle:.3f} | {high:.3f} |")
    return "\n".join(lines)


def page_of_lines(count: int = 50) -> tuple[Image, tuple[Rect, ...]]:
    """A plain page, 1240 x 1754 pixels, and the boxes of its lines."""
    picture = Pillow.new("RGB", (1240, 1754), (252, 251, 247))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(22)
    words, boxes = ("Nobody sees where the words once stood, neither on paper nor on a painted wall. " * 2)[:96], []
    for line in range(count):
        spot = (110, 60 + 33 * line)
        draw.text(spot, words[line % 7 :], (25, 25, 30), font)
        left, top, right, bottom = draw.textbbox(spot, words[line % 7 :], font)
        boxes.append(Rect(left - 3, top - 3, right - left + 6, bottom - top + 6))
    return np.asarray(picture), tuple(boxes)


def seconds_of_a_page(runs: int = 5) -> str:
    """The whole way, from PNG to PNG, on one core: decoding, finding, filling, judging, encoding."""
    image, regions = page_of_lines()
    data = bytes(cv2.imencode(".png", image[..., ::-1])[1])
    job, taken, stages = InpaintJob(regions, masking=MaskOptions(MaskMode.AUTO)), [], []
    for _ in range(runs):
        started = time.process_time()
        result = process(
            job, data, None, ClassicEngine(), max_pixels=10**8, max_window_px=2048, on_progress=lambda _: None,
            should_stop=lambda: False,
        )  # fmt: skip
        taken.append(time.process_time() - started)
        stages.append(result.stats.stage_times_s)
    erased = sum(one.erased is True for one in result.stats.regions)
    middle = {name: float(np.median([each[name] for each in stages])) for name in stages[0]}
    parts = ", ".join(f"{name} {value:.2f}" for name, value in middle.items())
    return f"A page of {len(regions)} lines: {np.median(taken):.2f} s, {erased} judged erased ({parts})"


def table(rows: dict[str, list[Row]], title: str) -> str:
    lines = [
        f"| {title} | regions | recall | area | IoU | both met | confidence | ms, median |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, found in rows.items():
        mean = {name: float(np.mean([getattr(row, name) for row in found])) for name in Row.__slots__}
        good = np.mean([row.good for row in found])
        lines.append(
            f"| {kind} | {len(found)} | {mean['recall']:.3f} | {mean['area']:.2f} | {mean['iou']:.2f} | {good:.2f} |"
            f" {mean['confidence']:.2f} | {np.median([row.ms for row in found]):.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-style", type=int, default=2, help="synthetic pairs for each ground and style")
    parser.add_argument("--pages", type=Path, help="file to keep the browser's pages in (needs chromium)")
    parser.add_argument("--tuning", action="store_true", help="the seeds that methods are tuned on")
    parser.add_argument("--every", type=int, default=1, help="judge only each n-th pair")
    parser.add_argument("--by", choices=["kind", "style"], default="kind")
    parser.add_argument("--scale", type=int, default=1, help="pictures and letters so many times as large")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print(seconds_of_a_page())
    pairs = synthetic(TUNING_SEED if options.tuning else HELD_OUT_SEED, options.per_style, options.scale)
    _print(pairs, "ground" if options.by == "kind" else "style", lambda pair: getattr(pair, options.by))
    print(verdicts(pairs[:: options.every]), flush=True)
    if options.pages:
        _print(pages(options.pages, 1 if options.tuning else 7), "page", lambda pair: getattr(pair, options.by))


def promises(rows: list[Row]) -> str:
    """What a confidence is worth."""
    lines = ["| confidence | regions | recall | its least | area | overlap |", "|---|--:|--:|--:|--:|--:|"]
    for low, high in pairwise((0.0, 0.6, 0.8, 0.9, 0.95, 1.01)):
        some = [row for row in rows if low <= row.confidence < high]
        if some:
            recall, area, overlap = np.mean([(row.recall, row.area, row.overlap) for row in some], axis=0)
            least = min(row.recall for row in some)
            cells = f"{recall:.3f} | {least:.2f} | {area:.2f} | {overlap:.2f}"
            lines.append(f"| {low:.2f} to {min(1, high):.2f} | {len(some)} | {cells} |")
    return "\n".join(lines)


def _print(pairs: list[Pair], title: str, key: Callable[[Pair], str]) -> None:
    rows: dict[str, list[Row]] = defaultdict(list)
    for pair in pairs:
        rows[key(pair)] += measure(pair)
    everything = [row for found in rows.values() for row in found]
    print(table({**rows, "all": everything}, title), promises(everything), sep="\n\n", flush=True)


if __name__ == "__main__":
    main()
