"""Strokes, the verdict and the masks that follow from them, on pictures whose strokes are known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from benchmarks.backgrounds import BACKGROUNDS
from benchmarks.pairs import HELD_OUT_SEED, jpeg, make_pair
from models.engine import Filling, InpaintEngine, OnStep, ShouldStop
from models.engines.classic.engine import ClassicEngine
from models.engines.opencv import OpenCVEngine
from models.geometry import Box, Rect
from models.job import DiffusionOptions, InpaintJob, JobResult, MaskMode, MaskOptions, OutputOptions
from models.pipeline import process
from models.progress import ProgressEvent
from models.regions import RegionMasks
from models.strokes.finder import Crop, Strokes, find_strokes, occupied_by
from models.strokes.halo import AROUND_PX, REACH_PX, halo_px
from models.strokes.verdict import residual
from tests.support.pictures import decoded, encoded

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def everything(box: Box) -> tuple[Box, Bools]:
    return box, np.ones((box.height, box.width), bool)


def dilated(mask: Bools, radius_px: int) -> Bools:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), bool)


@pytest.mark.parametrize("kind", ["flat", "gradient", "paper", "waves", "tone"])
@pytest.mark.parametrize("style", ["plain", "outline", "shadow", "two-colour", "rotated", "blurred"])
def test_strokes_are_found_and_little_more(kind: str, style: str) -> None:
    pair = make_pair(kind, style, HELD_OUT_SEED + 77)
    box = pair.boxes[0]
    found = find_strokes(pair.before, [everything(box)])[0]
    true = pair.strokes[box.top : box.bottom, box.left : box.right]
    # The faint end of a shadow, seven levels from the paper's grain, may stay.
    assert (found.mask & true).sum() >= (0.96 if style == "shadow" else 0.99) * true.sum()
    assert found.mask.sum() <= dilated(true, 2).sum()


def sign() -> tuple[Pixels, Pixels, Box]:
    """White on blue in a frame of the same white, the same without the letters, and their box."""
    bare = Pillow.new("RGB", (320, 140), (150, 160, 140))
    ImageDraw.Draw(bare).rectangle((40, 40, 280, 100), (10, 77, 155), "white", 5)
    written = bare.copy()
    draw, font = ImageDraw.Draw(written), ImageFont.load_default(32)
    draw.text((62, 50), "Exit North", "white", font)
    left, top, right, bottom = (int(v) for v in draw.textbbox((62, 50), "Exit North", font))
    return np.asarray(written), np.asarray(bare), Box(left - 3, top - 3, right + 3, bottom + 3)


def test_a_frame_in_the_letters_own_colour_does_not_hide_them() -> None:
    before, bare, box = sign()
    true = np.abs(before.astype(np.int16) - bare).max(2)[box.top : box.bottom, box.left : box.right] > 0
    found = find_strokes(before, [everything(box)])[0]
    assert (found.mask & true).sum() >= 0.99 * true.sum()
    assert found.confidence > 0.8


def test_a_neighbouring_region_is_not_background() -> None:
    picture = Pillow.new("RGB", (300, 90), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(26)
    draw.text((10, 12), "First line", "black", font)
    draw.text((10, 42), "Second line", "black", font)
    boxes = [Box(8, 12, 200, 42), Box(8, 42, 200, 76)]
    before: Pixels = np.asarray(picture)
    for found in find_strokes(before, [everything(box) for box in boxes]):
        box = found.box
        true = (before.min(2) < 250)[box.top : box.bottom, box.left : box.right]
        assert (found.mask & true).sum() >= 0.99 * true.sum()


@pytest.mark.parametrize("kind", ["flat", "gradient", "clouds"])
def test_where_nothing_is_written_nothing_is_sure(kind: str) -> None:
    clean = BACKGROUNDS[kind](np.random.default_rng(5), 200, 480)
    assert find_strokes(clean, [everything(Box(40, 60, 440, 120))])[0].confidence < 0.45


def test_a_region_as_large_as_the_image() -> None:
    """There are no surroundings: the region's own edge stands in for them."""
    before, bare, _ = sign()
    true = np.abs(before.astype(np.int16) - bare).max(2) > 0
    found = find_strokes(before, [everything(Box(0, 0, 320, 140))])[0]
    assert found.mask.shape == (140, 320)
    assert (found.mask & true).sum() >= 0.97 * true.sum()
    assert found.mask.mean() < 0.5


def judged(after: Pixels, before: Pixels, strokes: Strokes) -> bool:
    region = everything(strokes.box)
    return residual(before, after, strokes, region[1], occupied_by(before, [region])).erased


@pytest.mark.parametrize("kind", ["flat", "gradient", "paper", "waves", "tone", "clouds"])
def test_the_verdict(kind: str) -> None:
    """Screen tone too, where a perfect fill brings back edges where letters had some."""
    pair = make_pair(kind, "plain", HELD_OUT_SEED + 5)
    box = pair.boxes[0]
    strokes = find_strokes(pair.before, [everything(box)])[0]
    half = pair.truth.copy()
    middle = (box.left + box.right) // 2
    half[:, middle:] = pair.before[:, middle:]
    core = np.asarray(cv2.erode(pair.strokes.astype(np.uint8), np.ones((3, 3), np.uint8)), bool)
    ghost = np.where(core[:, :, np.newaxis], pair.truth, pair.before)
    assert judged(pair.truth, pair.before, strokes)
    assert not judged(pair.before, pair.before, strokes)
    assert not judged(half, pair.before, strokes)
    assert not judged(ghost, pair.before, strokes)


def done(
    before: Pixels, box: Box, masking: MaskOptions, output: OutputOptions | None = None,
    engine: InpaintEngine | None = None,
) -> JobResult:  # fmt: skip
    region = Rect(box.left, box.top, box.width, box.height)
    job = InpaintJob((region,), masking=masking, output=output or OutputOptions())
    events: list[ProgressEvent] = []
    return process(
        job, encoded(before), None, engine or OpenCVEngine(),
        max_pixels=10**6, max_window_px=2048, on_progress=events.append, should_stop=lambda: False,
    )  # fmt: skip


@pytest.mark.parametrize("mode", [MaskMode.STROKES, MaskMode.AUTO])
def test_only_strokes_change(mode: MaskMode) -> None:
    before, bare, box = sign()
    result = done(before, box, MaskOptions(mode))
    after, report = decoded(result.data), result.stats.regions[0]
    assert (report.mode, report.erased) == (MaskMode.STROKES, True)
    assert 0 < report.masked_share < 0.8
    outside = np.ones(before.shape[:2], bool)
    outside[box.top : box.bottom, box.left : box.right] = False
    assert (after[outside] == before[outside]).all()
    assert np.abs(after.astype(int) - bare).max() <= 8


def test_a_box_is_a_box_and_is_not_judged() -> None:
    before, _, box = sign()
    report = done(before, box, MaskOptions()).stats.regions[0]
    assert (report.mode, report.masked_share, report.erased, report.confidence) == (MaskMode.BOX, 1.0, None, None)


def test_mask_and_overlay_show_what_was_replaced() -> None:
    before, _, box = sign()
    masking = MaskOptions(MaskMode.STROKES, dilate_px=2)
    result = done(before, box, masking, OutputOptions(kind="mask"))
    mask = decoded(result.data)[..., 0]
    assert set(np.unique(mask)) == {0, 255}
    assert np.count_nonzero(mask) == result.stats.total_area
    seen = decoded(done(before, box, masking, OutputOptions(kind="overlay")).data)
    assert ((seen != before).any(2) <= (mask > 0)).all()
    assert (seen[mask > 0][:, 0] >= 127).all()


def test_feathering_stays_within_the_growth() -> None:
    before, _, box = sign()
    hard = decoded(done(before, box, MaskOptions(dilate_px=4)).data)
    soft = decoded(done(before, box, MaskOptions(dilate_px=4, feather_px=3)).data)
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    assert (hard[rows, columns] == soft[rows, columns]).all()
    grown = np.zeros(before.shape[:2], bool)
    grown[box.top - 4 : box.bottom + 4, box.left - 4 : box.right + 4] = True
    assert (soft[~grown] == before[~grown]).all()


def test_a_second_look_is_told_as_more_units() -> None:
    """Nothing is erased here, so there are passes until the box; each is told of as it begins."""
    before, _, box = sign()
    told: list[tuple[int, int]] = []
    job = InpaintJob((Rect(box.left, box.top, box.width, box.height),), masking=MaskOptions(MaskMode.STROKES))
    process(
        job, encoded(before), None, Untouched(), max_pixels=10**6, max_window_px=2048, should_stop=lambda: False,
        on_progress=lambda e: told.append((e.units_done, e.units_total)) if e.stage == "inpainting" else None,
    )  # fmt: skip
    assert told == [(0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3)]


class Untouched(OpenCVEngine):
    """Fills nothing: the text stays."""

    def run(
        self, image: Pixels, mask: Pixels, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        on_step(1, 1)
        return Filling(image.copy())


class Counting(Untouched):
    """Has something to say of each pass."""

    passes = 0

    def run(
        self, image: Pixels, mask: Pixels, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        self.passes += 1
        return replace(super().run(image, mask, options, on_step, should_stop), notes=(f"{self.passes}.", "Often."))


def test_the_notes_of_all_passes_are_told_once() -> None:
    before, _, box = sign()
    assert done(before, box, MaskOptions(MaskMode.AUTO), engine=Counting()).stats.notes == ("1.", "Often.", "2.", "3.")


def test_text_that_stays_gets_a_wider_mask_then_the_box_and_is_owned_up_to() -> None:
    before, _, box = sign()
    first, *_, last = [
        done(before, box, MaskOptions(MaskMode.AUTO), engine=engine).stats for engine in (OpenCVEngine(), Untouched())
    ]
    assert first.regions[0].erased
    report = last.regions[0]
    assert (report.mode, report.erased, report.masked_share) == (MaskMode.BOX, False, 1.0)
    assert last.total_area == box.area


def test_no_pass_reaches_further_than_the_region_and_its_growth() -> None:
    before, _, box = sign()
    masking = MaskOptions(MaskMode.AUTO, dilate_px=4, feather_px=2)
    mask = decoded(done(before, box, masking, OutputOptions(kind="mask"), Untouched()).data)[..., 0] > 0
    region = np.zeros(mask.shape, bool)
    region[box.top : box.bottom, box.left : box.right] = True
    assert (mask == dilated(region, 4)).all()  # the box in the end, after two passes over its strokes


@pytest.mark.parametrize("size", [14, 80])
def test_small_letters_in_a_large_region_and_large_ones(size: int) -> None:
    """The network knows letters of 8 to 80 pixels: larger ones are found in smaller copies, and small ones stay so."""
    rng = np.random.default_rng(3)
    clean = BACKGROUNDS["clouds"](rng, 420, 900)
    picture = Pillow.fromarray(clean)
    rows = range(60, 340 - size, size + 8)
    for row in rows:
        ImageDraw.Draw(picture).text(
            (50, row), "Large and small" * (60 // size + 1), "black", ImageFont.load_default(size)
        )
    before: Pixels = np.asarray(picture)
    box = Box(40, 50, 860, 370)
    true = (np.abs(before.astype(np.int16) - clean).max(2) > 6)[box.top : box.bottom, box.left : box.right]
    found = find_strokes(before, [everything(box)])[0]
    assert (found.mask & true).sum() >= 0.97 * true.sum()
    assert found.mask.sum() <= 1.3 * dilated(true, 2).sum()


def test_a_verdict_over_unsure_strokes_is_not_told() -> None:
    """It looks where strokes were found; what was missed it cannot see."""
    before, _, box = sign()
    cover = np.ones((box.height, box.width), bool)
    for confidence, told in ((0.9, True), (0.2, None)):
        masks = RegionMasks(before, [(box, cover)], MaskOptions(MaskMode.STROKES))
        (region,) = masks._regions
        assert region.strokes is not None
        region.strokes = replace(region.strokes, confidence=confidence)
        clean = done(before, box, MaskOptions(MaskMode.STROKES))
        assert masks.judge(decoded(clean.data)) is None
        assert masks.reports("cv2")[0].erased is told


def rms(after: Pixels, truth: Pixels, box: Box) -> float:
    """Root mean square error in the box, in levels."""
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    return float(np.sqrt(((after[rows, columns].astype(float) - truth[rows, columns]) ** 2).mean()))


@pytest.mark.parametrize("kind", ["flat", "gradient", "clouds"])
def test_what_compression_left_around_the_letters_goes_with_them(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = make_pair(kind, "plain", HELD_OUT_SEED + 78)
    before, truth, box = jpeg(pair.before, 60), jpeg(pair.truth, 60), pair.boxes[0]

    def error(mode: MaskMode, engine: InpaintEngine) -> float:
        return rms(decoded(done(before, box, MaskOptions(mode), engine=engine).data), truth, box)

    grown = error(MaskMode.AUTO, ClassicEngine())
    assert grown <= 1.03 * error(MaskMode.BOX, OpenCVEngine())  # 0.3 dB
    monkeypatch.setattr("models.strokes.finder.halo_px", lambda *_: 0)
    assert grown < 0.8 * error(MaskMode.AUTO, ClassicEngine())


def test_the_mask_grows_over_what_is_left_of_a_soft_shadow() -> None:
    pair = make_pair("clouds", "plain", HELD_OUT_SEED + 79)
    box = pair.boxes[0]
    sharp = find_strokes(pair.before, [everything(box)])[0]
    assert sharp.halo_px == 0
    ghost = cv2.GaussianBlur(dilated(pair.strokes, 1).astype(np.float32), (0, 0), 2.5)[..., np.newaxis]
    soft = np.where(pair.strokes[..., np.newaxis], pair.before, np.rint(pair.truth - 40.0 * ghost).clip(0, 255))
    crop, cover = Crop.around(soft.astype(np.uint8), box, AROUND_PX), everything(box)[1]
    grown = halo_px(crop.rgb, crop.placed(sharp.mask), crop.placed(cover), ~crop.placed(cover))
    assert 2 <= grown <= REACH_PX


def test_a_region_with_a_drawing_of_its_own_is_not_wiped() -> None:
    before, _, box = sign()
    wide = Box(box.left - 20, box.top - 15, box.right + 20, box.bottom + 15)
    strokes = find_strokes(jpeg(before, 70), [everything(wide)])[0]
    assert strokes.halo_px < REACH_PX


@pytest.mark.parametrize("beyond_px", [0, 4, 9])
def test_a_sign_within_the_region_stays_and_its_letters_go(beyond_px: int) -> None:
    before, bare, _ = sign()
    board = Box(40 - beyond_px, 40 - beyond_px, 281 + beyond_px, 101 + beyond_px)
    result = done(before, board, MaskOptions(MaskMode.AUTO), engine=ClassicEngine())
    assert result.stats.regions[0].mode is MaskMode.STROKES
    assert np.abs(decoded(result.data).astype(int) - bare).max() <= 8
