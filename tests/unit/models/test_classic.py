"""Weightless fills and their choice: on pairs with a known truth, against what OpenCV alone gives."""

import itertools
import time

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.grounds import GROUNDS, Pair, pair
from models.engine import Filling, Image, Mask
from models.engines.classic import local_plane
from models.engines.classic.engine import ClassicEngine, single
from models.engines.classic.groups import Groups
from models.engines.classic.names import FILLS
from models.engines.classic.pattern import best_shifts
from models.engines.opencv import OpenCVEngine
from models.errors import WorkCancelled
from models.job import DiffusionOptions
from models.registry import EngineConfig, load_engine

OPTIONS = DiffusionOptions()


def run(image: Image, mask: Mask, engine: ClassicEngine | OpenCVEngine | None = None) -> Filling:
    return (engine or ClassicEngine()).run(image, mask, OPTIONS, lambda done, total: None, lambda: False)


def strokes(made: Pair) -> Mask:
    """The text's pixels, two more on every side."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    return np.asarray(cv2.dilate(made.strokes.astype(np.uint8) * 255, kernel), np.uint8)


def psnr(filled: Image, made: Pair) -> float:
    box = made.box
    inside = slice(box.top, box.bottom), slice(box.left, box.right)
    error = ((filled[inside].astype(float) - made.truth[inside]) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 0.05)))


@pytest.mark.parametrize("kind", ["flat", "gradient", "manga tone"])
def test_what_can_be_known_is_restored_exactly(kind: str) -> None:
    made = pair(kind, seed=11)
    assert psnr(run(made.shown, strokes(made)).image, made) > 60


@pytest.mark.parametrize("kind", list(GROUNDS))
def test_never_worse_than_opencv(kind: str) -> None:
    for seed in (21, 22):
        made = pair(kind, seed)
        ours, theirs = (psnr(run(made.shown, strokes(made), engine).image, made) for engine in (None, OpenCVEngine()))
        assert ours >= theirs - 0.3


def signs(blur_px: float) -> tuple[Image, Image, Mask]:
    """Three signs on a wall, with a frame in the colour of their letters; boxes that leave four pixels to the frame."""
    truth = np.full((260, 480, 3), (120, 130, 110), np.uint8)
    truth[:, ::7] = (90, 96, 84)
    mask = np.zeros((260, 480), np.uint8)
    for top, paint, ink in ((20, (0, 70, 160), (255, 255, 255)), (100, (240, 200, 0), (20, 20, 20))):
        cv2.rectangle(truth, (40, top), (440, top + 64), paint, -1)
        cv2.rectangle(truth, (44, top + 4), (436, top + 60), ink, 4)
        mask[top + 11 : top + 54, 51:430] = 255
    if blur_px:
        truth = np.asarray(cv2.GaussianBlur(truth, (0, 0), blur_px), np.uint8)
    shown = truth.copy()
    shown[mask > 0] = 255 - shown[mask > 0]
    return truth, shown, mask


@pytest.mark.parametrize("blur_px", [0.0, 1.2, 2.0])
def test_a_whole_box_is_never_worse_than_opencv(blur_px: float) -> None:
    truth, shown, mask = signs(blur_px)
    ours, theirs = (
        float(((run(shown, mask, engine).image[mask > 0].astype(float) - truth[mask > 0]) ** 2).mean())
        for engine in (None, OpenCVEngine())
    )
    assert ours <= 1.07 * theirs + 0.05  # 0.3 dB


def test_boxes_beside_each_other_keep_their_own_colours() -> None:
    truth = np.full((140, 420, 3), 230, np.uint8)
    truth[20:120, 20:200], truth[20:120, 230:400] = (255, 250, 240), (240, 244, 252)
    mask = np.zeros((140, 420), np.uint8)
    mask[30:110, 32:190] = mask[30:110, 240:390] = 255
    shown = truth.copy()
    shown[mask > 0] = 20
    assert np.array_equal(run(shown, mask).image, truth)


def test_the_choice_follows_the_ground() -> None:
    chosen = {kind: run(made.shown, strokes(made)).fills[0] for kind in GROUNDS for made in [pair(kind, seed=12)]}
    assert chosen["flat"].name == chosen["gradient"].name == "surface"
    assert chosen["manga tone"].name == "pattern"
    assert chosen["photographs"].name not in ("surface", "pattern")
    assert all(fill.error is not None and 0 <= fill.error < 60 for fill in chosen.values())


def test_every_group_chooses_for_itself() -> None:
    """A line on a plain ground above one on tone, in one window."""
    plain, tone = pair("flat", 3), pair("manga tone", 4)
    width = min(plain.truth.shape[1], tone.truth.shape[1])
    shown = np.concatenate([plain.shown[:, :width], tone.shown[:, :width]])
    mask = np.concatenate([strokes(plain)[:, :width], strokes(tone)[:, :width]])
    names = [fill.name for fill in run(shown, mask).fills]
    assert names[0] == "surface"
    assert names[-1] == "pattern"


def test_same_input_same_pixels() -> None:
    made = pair("photographs", 5)
    first, second = run(made.shown, strokes(made)), run(made.shown, strokes(made))
    assert np.array_equal(first.image, second.image)
    assert first.fills == second.fills


def test_only_masked_pixels_change_and_masked_ones_are_never_read() -> None:
    made, random = pair("clouds", 6), np.random.default_rng(0)
    mask = strokes(made)
    first = run(made.shown, mask).image
    assert np.array_equal(first[mask == 0], made.shown[mask == 0])
    garbage = made.shown.copy()
    garbage[mask > 0] = random.integers(0, 256, (int((mask > 0).sum()), 3))
    assert np.array_equal(run(garbage, mask).image, first)


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (7, 9)])
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("name", ["classic", *FILLS])
def test_degenerate_pictures(shape: tuple[int, int], share: float, name: str) -> None:
    image = np.full((*shape, 3), 200, np.uint8)
    mask = np.zeros(shape, np.uint8)
    mask.reshape(-1)[: max(1, int(share * mask.size))] = 255
    filled = load_engine(name, EngineConfig("cpu")).run(image, mask, OPTIONS, lambda done, total: None, lambda: False)
    assert filled.image.shape == image.shape
    if (mask == 0).any() and name == "classic":
        assert np.array_equal(filled.image, image)


def test_a_mask_over_everything_is_grey_and_says_none() -> None:
    filled = run(np.zeros((20, 30, 3), np.uint8), np.full((20, 30), 255, np.uint8))
    assert {fill.name for fill in filled.fills} == {"none"}


def test_a_large_hole_is_filled_within_its_budget() -> None:
    """Half a megapixel: solvers whose work grows faster than the hole are left out, not waited for."""
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (900, 900, 3)).astype(np.uint8)
    mask = np.zeros((900, 900), np.uint8)
    mask[100:800, 100:800] = 255
    (fill,) = run(image, mask).fills
    assert fill.name != "biharmonic"


def test_periods_are_found() -> None:
    tile = np.random.default_rng(2).integers(0, 256, (7, 11, 3)).astype(np.uint8)
    image = np.tile(tile, (12, 12, 1))
    unknown: NDArray[np.bool_] = np.zeros(image.shape[:2], bool)
    unknown[30:50, 40:90] = True
    found = best_shifts(image, unknown)[:4]
    assert all(dy % 7 == 0 and dx % 11 == 0 for dy, dx in found)


def test_shifts_that_reach_the_most_come_first_and_none_is_useless() -> None:
    """Of many that are as good, as on a tone, those that lead out of the picture fill nothing."""
    ys, xs = np.mgrid[0:120, 0:400]
    picture = np.repeat((((xs // 4 + ys // 4) % 2) * np.uint8(200))[..., None], 3, 2).astype(np.uint8)
    hole = np.zeros((120, 400), bool)
    hole[45:75, 30:370] = True
    reached = [
        int((hole & ~np.roll(np.pad(hole, 160, constant_values=True), (dy, dx), (0, 1))[160:-160, 160:-160]).sum())
        + int((hole & ~np.roll(np.pad(hole, 160, constant_values=True), (-dy, -dx), (0, 1))[160:-160, 160:-160]).sum())
        for dy, dx in best_shifts(picture, hole)
    ]
    assert reached == sorted(reached, reverse=True)
    assert min(reached) > 0
    assert np.array_equal(
        single("pattern").run(picture, hole.astype(np.uint8) * 255, OPTIONS, lambda *_: None, lambda: False).image,
        picture,
    )


def test_what_no_good_shift_reaches_goes_on_smoothly() -> None:
    """Waves whose period is too long for the middle of a line: bad copies were worse than none."""
    ys, xs = np.mgrid[0:120, 0:330]
    wave = 128 + 40 * np.sin(xs / 16.5 + 2 * np.sin(ys / 25))
    picture = np.repeat(np.rint(wave).astype(np.uint8)[..., None], 3, 2)
    hole = np.zeros((120, 330), np.uint8)
    hole[50:70, 20:310] = 255
    hole[:, ::9] = 0
    off = single("pattern").run(picture, hole, OPTIONS, lambda *_: None, lambda: False).image.astype(float) - picture
    assert np.sqrt((off[hole > 0] ** 2).mean()) < 2


def test_each_fill_by_its_name() -> None:
    made = pair("clouds", 7)
    for name in FILLS:
        engine = single(name)
        assert engine.info.name == name
        assert {fill.name for fill in run(made.shown, strokes(made), engine).fills} == {name}


def a_hole(side: int, text: bool = True) -> tuple[Image, Mask]:
    """In clouds; with a line of text's box above it."""
    size = side + 320
    coarse = np.random.default_rng(4).integers(0, 256, (size // 40 + 2, size // 40 + 2, 3)).astype(np.uint8)
    image = np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)
    mask = np.zeros((size, size), np.uint8)
    mask[260 : 260 + side, 160 : 160 + side] = 255
    if text:
        mask[60:90, 100:300] = 255
    return image, mask


def test_a_named_fill_whose_work_has_no_bound_hands_over_and_says_so() -> None:
    image, mask = a_hole(600)
    started = time.process_time()
    filled = run(image, mask, single("biharmonic"))
    assert time.process_time() - started < 5
    assert [fill.name for fill in filled.fills] == ["biharmonic", "navier-stokes"]
    (note,) = filled.notes
    assert "biharmonic" in note
    assert "navier-stokes" in note
    assert run(*a_hole(200), single("biharmonic")).notes == ()


@pytest.mark.parametrize("name", [name for name in FILLS if name != "biharmonic"])
def test_no_other_fill_takes_long_over_a_deep_hole(name: str) -> None:
    image, mask = a_hole(800, text=False)
    started = time.process_time()
    filled = run(image, mask, single(name))
    assert time.process_time() - started < 4
    assert ([fill.name for fill in filled.fills], filled.notes) == ([name], ())


@pytest.mark.parametrize("name", ["local-surface", "wide-surface"])
def test_over_a_deep_hole_a_shrunk_copy_tells_as_much(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image, mask = a_hole(300, text=False)
    shrunk = run(image, mask, single(name)).image
    monkeypatch.setattr(local_plane, "_WIDEST_PX", np.inf)
    whole = run(image, mask, single(name)).image
    assert not np.array_equal(shrunk, whole)
    off = np.abs(shrunk.astype(int) - whole)[mask > 0]
    assert off.mean() < 1
    assert np.quantile(off, 0.98) < 4


def test_every_group_is_a_unit() -> None:
    made = pair("flat", 8)
    shown = np.vstack([made.shown, made.shown])
    mask = np.vstack([strokes(made), strokes(made)])
    told: list[tuple[int, int]] = []
    engine = ClassicEngine()
    engine.run(shown, mask, OPTIONS, lambda done, total: told.append((done, total)), lambda: False)
    assert told == [(1, 2), (2, 2)]
    assert engine.units(mask, OPTIONS) == 2


def test_it_stops_between_groups() -> None:
    made = pair("flat", 8)
    with pytest.raises(WorkCancelled):
        ClassicEngine().run(made.shown, strokes(made), OPTIONS, lambda done, total: None, lambda: True)


def lines_one_by_one(mask: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """The pixels of each line, from the rule itself: every piece is compared with every other."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)))
    line_of = list(range(len(stats) - 1))
    for one, other in itertools.combinations(range(len(line_of)), 2):
        (x, y, w, h, _), (x2, y2, w2, h2, _) = stats[one + 1].tolist(), stats[other + 1].tolist()
        overlap, gap = min(y + h, y2 + h2) - max(y, y2), max(x, x2) - min(x + w, x2 + w2)
        if overlap >= 0.5 * min(h, h2) and gap <= 0.7 * min(max(h, h2), 3 * min(h, h2)):
            line_of = [line_of[one] if line == line_of[other] else line for line in line_of]
    members = [np.argwhere(mask & np.isin(labels, [i + 1 for i, of in enumerate(line_of) if of == line]))
               for line in dict.fromkeys(line_of)]  # fmt: skip
    return [{(int(row), int(column)) for row, column in pixels} for pixels in members]


@pytest.mark.parametrize("shape", [(300, 500), (500, 300), (40, 1500), (1500, 40)])
def test_pieces_that_lie_beside_each_other_are_one_group(shape: tuple[int, int]) -> None:
    joined = 0
    for seed in range(12):
        rng, mask = np.random.default_rng(seed), np.zeros(shape, bool)
        for _ in range(40):
            top, left = int(rng.integers(shape[0])), int(rng.integers(shape[1]))
            mask[top : top + int(rng.integers(1, 30)), left : left + int(rng.integers(1, 30))] = True
        expected = lines_one_by_one(mask)
        found = list(Groups(mask))
        assert [{(int(y) + g.window.top, int(x) + g.window.left) for y, x in np.argwhere(g.ours)} for g in found] == (
            expected
        )
        joined += len(expected)
    assert joined > 24


def test_a_dotted_mask_is_grouped_in_little_work_and_can_be_left() -> None:
    mask = np.zeros((3000, 4000), bool)
    mask[::24, ::24] = True
    asked: list[None] = []
    assert len(Groups(mask, lambda: asked.append(None))) == 125 * 167
    assert len(asked) < 2 * 167, "each dot is compared with those of its row and the next"
    with pytest.raises(WorkCancelled):
        ClassicEngine().run(np.zeros((*mask.shape, 3), np.uint8), mask * np.uint8(255), OPTIONS, ignore, lambda: True)


def test_nothing_masked_is_no_group() -> None:
    assert list(Groups(np.zeros((20, 30), bool))) == []


def ignore(done: int, total: int) -> None: ...
