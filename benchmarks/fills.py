"""What the choice of a fill costs: ``scripts/benchmark fills``. CPU time of one core, medians.

A region of 400 x 60 pixels with a line of text in it, on every kind of ground, with its true strokes grown by two
pixels; and a page with 50 lines on plain ground, through the whole pipeline.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from rich.progress import track
from threadpoolctl import threadpool_limits

from benchmarks.backgrounds import BACKGROUNDS
from benchmarks.pairs import HELD_OUT_SEED, font_files
from models.engine import Image
from models.engines.classic.candidates import candidates
from models.engines.classic.engine import ClassicEngine
from models.engines.classic.groups import Groups
from models.engines.classic.plain import plain
from models.engines.classic.smooth import Unknown
from models.engines.classic.trial import Hole, choose, prepare
from models.geometry import Box, Rect
from models.job import InpaintJob, MaskMode, MaskOptions
from models.pipeline import process
from models.strokes.finder import find_strokes

WIDTH, HEIGHT, RIM = 400, 60, 64
_TEXT = "Sale 50% off Exit now on"


def drawn(kind: str, seed: int) -> tuple[Image, Unknown]:
    """The ground with the text on it, and the text's pixels, two more on every side."""
    rng = np.random.default_rng(seed)
    ground = BACKGROUNDS[kind](rng, HEIGHT + 2 * RIM, WIDTH + 2 * RIM)
    letters = Pillow.new("L", (ground.shape[1], ground.shape[0]))
    files = font_files()[0]
    font = ImageFont.truetype(files[seed % len(files)], 42) if files else ImageFont.load_default(42)
    ImageDraw.Draw(letters).text((RIM + 4, RIM + 4), _TEXT, 255, font)
    alpha = np.asarray(letters, np.float32).copy()
    alpha[:, RIM + WIDTH - 4 :] = 0
    colour = 0.0 if ground.mean() > 127 else 255.0
    shown = ground + (colour - ground) * alpha[..., np.newaxis] / 255
    grown = cv2.dilate((alpha > 0).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    return np.rint(shown).astype(np.uint8), grown > 0


def timed(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started)


def trial(image: Image, unknown: Unknown) -> str:
    """As the engine does it, but for the fill itself."""
    chosen = []
    for group in Groups(unknown):
        window, holes = image[group.view], unknown[group.view]
        if plain(window, holes, group) is not None:
            chosen.append("plain")
        elif (found := prepare(window, holes, group.ours, group.inner)) is not None:
            best = choose(found, Hole.of(holes), candidates())
            chosen.append(best[0].name if best else "none")
    return Counter(chosen).most_common(1)[0][0] if chosen else "none"


def region(kind: str, seed: int) -> tuple[list[float], str]:
    """Milliseconds of the trial, of the trial with the fill, and of finding the strokes; what was chosen."""
    image, unknown = drawn(kind, seed)
    mask = unknown.astype(np.uint8) * 255
    cover = Box(RIM, RIM, RIM + WIDTH, RIM + HEIGHT), np.ones((HEIGHT, WIDTH), bool)
    name = trial(image, unknown)
    return [
        timed(lambda: trial(image, unknown)),
        timed(lambda: list(ClassicEngine().fills(image, mask, lambda: False))),
        timed(lambda: find_strokes(image, [cover])),
    ], name


def page_s() -> float:
    """Seconds for 50 lines on white, given as boxes, ``mask_mode=auto``, PNG to PNG."""
    sheet = Pillow.new("RGB", (1240, 1754), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
    regions = []
    for line in range(50):
        at = (100, 60 + 33 * line)
        draw.text(
            at, f"{line + 1}. The quick brown fox jumps over a lazy dog while nobody looks at it at all", "black", font
        )
        left, top, right, bottom = draw.textbbox(
            at, "The quick brown fox jumps over a lazy dog while nobody looks", font
        )
        regions.append(Rect(left - 3, top - 3, right - left + 260, bottom - top + 6))
    data = bytes(cv2.imencode(".png", np.asarray(sheet)[..., ::-1])[1])
    job = InpaintJob(tuple(regions), masking=MaskOptions(MaskMode.AUTO))
    return timed(lambda: process(
        job, data, None, ClassicEngine(), max_pixels=10**8, max_window_px=2048,
        on_progress=lambda event: None, should_stop=lambda: False,
    )) / 1000  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, default=9, help="of each ground")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    threadpool_limits(1)
    print("| ground | trial ms | trial and fill ms | stroke finding ms | most often chosen |")
    print("|---|--:|--:|--:|---|")
    everything: list[list[float]] = []
    for kind in BACKGROUNDS:
        seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + options.regions)
        rows, names = zip(*(region(kind, seed) for seed in track(seeds, kind, transient=True)), strict=True)
        everything += rows
        cells = " | ".join(f"{value:.0f}" for value in np.median(rows, axis=0))
        print(f"| {kind} | {cells} | {Counter(names).most_common(1)[0][0]} |")
    print("| all | " + " | ".join(f"{value:.0f}" for value in np.median(everything, axis=0)) + " | |")
    page_s()
    print(f"\nA page of 50 lines on white, PNG to PNG, `mask_mode=auto`: {page_s():.2f} s")


if __name__ == "__main__":
    main()
