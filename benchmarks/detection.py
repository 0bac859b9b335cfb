"""How well text is found: `python -m benchmarks.detection`. Pages are drawn here, so every line's outline is known.

With `--font FILE` (one that has Chinese and Japanese) there are pages of those, in rows and in columns.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import skimage.data

from models.detect import TextDetector, TextLine, wanted
from models.detectors.ppocr import PPOCRDetector
from models.job import FindText
from models.masks import regions_to_mask
from tests.support.pictures import photo
from tests.support.sample import scene
from tests.support.text_pages import KINDS, Page, Pixels, draw_line, matched, page

_CJK = (
    "夏の市場は日曜日", "営業中", "静かな川の石", "価格表と合計金額", "毎朝新鮮なパン", "正午前に出発",
    "请靠左行走", "欢迎光临本店",
)  # fmt: skip
_WITHOUT_TEXT = ("chelsea", "moon", "coins", "horse", "grass", "gravel", "brick", "cell", "coffee")


@dataclass(slots=True)
class Tally:
    """Of all pages of one kind."""

    true: int = 0
    hits: int = 0
    found: int = 0
    ink: int = 0
    ink_covered: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, drawn: Page, lines: list[TextLine], seconds: float) -> None:
        height, width = drawn.pixels.shape[:2]
        ink = (drawn.pixels != drawn.clean).any(axis=2)
        covered = regions_to_mask([line.region() for line in lines], width, height) > 0
        self.true += len(drawn.lines)
        self.hits += matched(drawn.lines, [line.points for line in lines])
        self.found += len(lines)
        self.ink += int(ink.sum())
        self.ink_covered += int((ink & covered).sum())
        self.seconds.append(seconds)

    def row(self, name: str) -> str:
        recall, precision = self.hits / max(1, self.true), self.hits / max(1, self.found)
        covered = self.ink_covered / max(1, self.ink)
        return (
            f"| {name} | {self.true} | {recall:.3f} | {precision:.3f} | {covered:.4f} | {np.median(self.seconds):.2f} |"
        )


def main() -> None:
    options = _options()
    detector = PPOCRDetector(options.threads)
    print("| pages | true lines | recall at IoU 0.5 | precision | ink inside the regions | s per page, median |")
    print("|---|---|---|---|---|---|")
    total = Tally()
    for kind, make in _kinds(options.font).items():
        tally = Tally()
        for seed in range(options.first, options.first + options.pages):
            drawn = make(seed)
            lines, seconds = _timed(detector, drawn.pixels)
            for each in (tally, total):
                each.add(drawn, lines, seconds)
        print(tally.row(kind), flush=True)
    print(total.row("all"))
    pictures = list(_without_text())
    counts = {name: len(_timed(detector, pixels)[0]) for name, pixels in pictures}
    wrong = {name: count for name, count in counts.items() if count}
    print(f"\nPictures without text: {len(pictures)}; with lines found nevertheless: {len(wrong)} {wrong or ''}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=6, help="of each kind")
    parser.add_argument("--first", type=int, default=100, help="seed of the first page")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--font", help="a font file with Chinese and Japanese letters")
    return parser.parse_args()


def _kinds(font: str | None) -> dict[str, Callable[[int], Page]]:
    def drawn(kind: str) -> Callable[[int], Page]:
        return lambda seed: page(kind, seed)

    kinds = {kind: drawn(kind) for kind in KINDS}
    if font:
        kinds["Chinese, Japanese in rows"] = lambda seed: _cjk(seed, font, columns=False)
        kinds["Chinese, Japanese in columns"] = lambda seed: _cjk(seed, font, columns=True)
    return kinds


def _cjk(seed: int, font: str, columns: bool) -> Page:
    rng = np.random.default_rng(seed)
    clean = photo(1000, 900, seed) // 3 + 160
    pixels, lines = clean.copy(), []
    for number, text in enumerate(rng.permutation(list(_CJK))):
        size = int(rng.integers(24, 48))
        middle = 60.0 + 115 * number
        centre = (middle, 450.0) if columns else (500.0, middle * 0.92)
        lines.append(draw_line(pixels, str(text), centre, size, 0.0, "black", "white", columns, font))
    return Page(pixels, clean, tuple(lines))


def _timed(detector: TextDetector, pixels: Pixels) -> tuple[list[TextLine], float]:
    started = time.perf_counter()
    lines = detector.detect(pixels, lambda: False)
    seconds = time.perf_counter() - started
    return wanted(lines, FindText(), pixels.shape[1], pixels.shape[0]), seconds


def _without_text() -> Iterator[tuple[str, Pixels]]:
    """Painted here, and photographs that scikit-image carries."""
    yield "scene", np.asarray(scene())
    for seed, size in enumerate(((640, 480), (1200, 1000), (900, 700), (2400, 1800))):
        yield f"waves {size[0]} x {size[1]}", photo(*size, seed)
    for name in _WITHOUT_TEXT:
        pixels = np.asarray(getattr(skimage.data, name)())
        pixels = (pixels * 255).astype(np.uint8) if pixels.dtype == bool else pixels.astype(np.uint8)
        yield name, np.repeat(pixels[:, :, np.newaxis], 3, axis=2) if pixels.ndim == 2 else pixels[:, :, :3].copy()


if __name__ == "__main__":
    main()
