"""How good the pictures are: ``scripts/benchmark quality [--pages] [--sheet FILE] [--details FILE]``.

Pairs whose truth is known, of seeds that were not used for tuning: drawn ones, or pages of a real browser. Each goes
through the whole pipeline in several ways, and a text detector looks at every result.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from rich.progress import track

from benchmarks.measures import Row, again, measures, table, titles
from benchmarks.pages import browser_pairs
from benchmarks.pairs import HELD_OUT_SEED, STYLES, Pair, make_pairs
from models import codec
from models.detect import TextDetector, TextLine, wanted
from models.detectors.ppocr import PPOCRDetector
from models.engine import Image, InpaintEngine, Mask
from models.engines.classic.engine import ClassicEngine
from models.engines.opencv import OpenCVEngine
from models.geometry import Rect, Region
from models.job import FindText, InpaintJob, MaskMode, MaskOptions, RegionReport
from models.masks import region_covers
from models.pipeline import process
from models.progress import ProgressEvent
from models.regions import RegionMasks


@dataclass(frozen=True, slots=True)
class Way:
    """``found``: the regions are those that the detector finds, as ``/remove-text`` does; else the pair's boxes.
    ``told``: no region, but a mask of the true strokes in the boxes, grown by two pixels: what no finder can know.
    """

    name: str
    engine: InpaintEngine
    mode: MaskMode
    found: bool = False
    told: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What the detector sees of a pair, with its text and in truth without."""

    before: tuple[TextLine, ...]
    truth: tuple[TextLine, ...]


def ways(found: bool) -> list[Way]:
    cv2_, classic = OpenCVEngine(), ClassicEngine()
    given = [
        Way("cv2 box", cv2_, MaskMode.BOX),
        Way("cv2 auto", cv2_, MaskMode.AUTO),
        Way("classic box", classic, MaskMode.BOX),
        Way("classic, true strokes", classic, MaskMode.BOX, told=True),
        Way("classic strokes", classic, MaskMode.STROKES),
        Way("classic auto", classic, MaskMode.AUTO),
    ]
    return [*given, Way("remove-text", classic, MaskMode.AUTO, found=True)] if found else given


def measure(pair: Pair, way: Way, seen: Seen, detector: TextDetector) -> tuple[Row, Image]:
    """One picture through the whole pipeline, as the service runs it."""
    regions: tuple[Region, ...] = tuple(Rect(box.left, box.top, box.width, box.height) for box in pair.boxes)
    if way.found:
        regions = tuple(line.region() for line in seen.before)
    after, reports, seconds = _run(pair, way, regions)
    height, width = pair.strokes.shape
    covers = region_covers(regions, width, height)
    mask = _true_strokes(pair)
    allowed = mask > 0
    if not way.told:
        blocks = codec.decode(_sent(pair), max_pixels=10**8).colour_blocks
        masks = RegionMasks(pair.before, covers, MaskOptions(way.mode), blocks)
        mask = masks.mask()
        masks.unstained((lambda: np.zeros(mask.shape, bool)) if way.found else None)
        allowed = masks.marked(mask) > 0
    for box, cover in covers:
        allowed[box.top : box.bottom, box.left : box.right] |= cover
    row = measures(
        pair, after, mask > 0, allowed,
        lines=len(seen.before),
        lines_again=again(seen.before, seen.truth, find(detector, after)),
        ms_per_region=1000 * seconds / max(1, len(regions)),
        erased=float(np.mean([one.erased is not False for one in reports])) if reports else 1.0,
    )  # fmt: skip
    return row, after


def _run(pair: Pair, way: Way, regions: tuple[Region, ...]) -> tuple[Image, tuple[RegionReport, ...], float]:
    find_text = FindText() if way.found else None
    job = InpaintJob(None if way.told else regions, masking=MaskOptions(way.mode), find_text=find_text)
    mask = bytes(cv2.imencode(".png", _true_strokes(pair))[1]) if way.told else None
    started = time.process_time()
    result = process(
        job, _sent(pair), mask, way.engine, max_pixels=10**8, max_window_px=2048, on_progress=_ignore,
        should_stop=lambda: False,
    )  # fmt: skip
    seconds = time.process_time() - started
    return codec.decode(result.data, max_pixels=10**8).rgb, result.stats.regions, seconds


def _true_strokes(pair: Pair) -> Mask:
    """Of the boxes, grown by two pixels within them."""
    mask = np.zeros(pair.strokes.shape, np.uint8)
    disc = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)), np.uint8)
    for box in pair.boxes:
        grown = cv2.dilate(pair.strokes[box.slices].astype(np.uint8) * 255, disc)
        mask[box.slices] |= np.asarray(grown, np.uint8)
    return mask


def _sent(pair: Pair) -> bytes:
    return pair.file or bytes(cv2.imencode(".png", pair.before[..., ::-1])[1])


def _ignore(event: ProgressEvent) -> None:
    """Nobody watches."""


def find(detector: TextDetector, picture: Image) -> tuple[TextLine, ...]:
    lines = detector.detect(picture, lambda: False)
    return tuple(wanted(lines, FindText(), picture.shape[1], picture.shape[0]))


def sheet(rows: Sequence[Sequence[Image]], names: Sequence[str], width: int = 320) -> Image:
    """Pictures side by side, one pair below the other, with titles on top."""
    shown = []
    for row in rows:
        height = round(width * row[0].shape[0] / row[0].shape[1])
        shown.append(np.hstack([cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in row]))
    return np.asarray(np.vstack([titles(names, width), *shown]), np.uint8)


def main() -> None:
    options = _options()
    cv2.setNumThreads(1)
    detector = PPOCRDetector(2)
    if options.pages:
        pairs = browser_pairs(seed=options.seed)
    else:
        pairs = make_pairs(options.seed, options.per_kind, options.style)
    tried = ways(found=options.pages)
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    pictures: dict[str, list[Image]] = {}
    for pair in track(pairs, "pairs"):
        seen = Seen(find(detector, pair.before), find(detector, pair.truth))
        results = {way.name: measure(pair, way, seen, detector) for way in tried}
        for name, (row, after) in results.items():
            rows[pair.kind, name].append(row)
            if options.pictures:
                options.pictures.mkdir(parents=True, exist_ok=True)
                Pillow.fromarray(after).save(options.pictures / f"{pair.name}-{name}.png".replace(" ", "_"))
        pictures.setdefault(pair.kind, [pair.before, *(after for _, after in results.values()), pair.truth])
    print(table(rows, brief=True))
    if options.details:
        options.details.write_text(table(rows, brief=False) + "\n")
    if options.sheet:
        names = ["with text", *(way.name for way in tried), "truth"]
        Pillow.fromarray(sheet(list(pictures.values()), names)).save(options.sheet, quality=85, optimize=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-kind", type=int, default=9, help="drawn pairs for each kind of ground")
    parser.add_argument("--pages", action="store_true", help="pages of a real browser (needs chromium) instead")
    parser.add_argument("--style", choices=STYLES, help="drawn pairs of this style only")
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED, help="another one gives other pairs")
    parser.add_argument("--sheet", type=Path, help="picture: before, each way, the truth; one pair of each kind")
    parser.add_argument("--details", type=Path, help="Markdown file for the table with every measure")
    parser.add_argument("--pictures", type=Path, help="folder for every result")
    return parser.parse_args()


if __name__ == "__main__":
    main()
