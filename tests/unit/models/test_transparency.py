"""Text on pictures that are transparent in places: it is found, it goes, and the rest stays as it was."""

import io
from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from models import codec
from models.codec.png import png
from models.engine import InpaintEngine
from models.engines.classic.engine import ClassicEngine
from models.engines.opencv import OpenCVEngine
from models.geometry import Rect
from models.job import InpaintJob, JobResult, MaskMode, MaskOptions, OutputOptions
from models.pipeline import process
from tests.support.pictures import encoded

SIZE = (240, 100)
REGION = Rect(30, 25, 180, 50)
FONT = ImageFont.load_default(34)
Pixels = NDArray[np.uint8]


def lettered(ground: Image.Image, fill: str = "black") -> Pixels:
    drawn = Image.new("RGBA", SIZE)
    ImageDraw.Draw(drawn).text((40, 26), "SALE 50", font=FONT, fill=fill)
    return np.asarray(Image.alpha_composite(ground, drawn))


def plain_on_transparent() -> tuple[Pixels, Pixels]:
    clear = Image.new("RGBA", SIZE)
    return lettered(clear), np.asarray(clear)


def shadowed_on_transparent() -> tuple[Pixels, Pixels]:
    clear = Image.new("RGBA", SIZE)
    shadow = Image.new("RGBA", SIZE)
    ImageDraw.Draw(shadow).text((42, 28), "SALE 50", font=FONT, fill=(0, 0, 0, 160))
    return lettered(shadow.filter(ImageFilter.GaussianBlur(2)), "white"), np.asarray(clear)


def sticker_that_ends_in_the_box() -> tuple[Pixels, Pixels]:
    sticker = Image.new("RGBA", SIZE)
    ImageDraw.Draw(sticker).rounded_rectangle((10, 10, 196, 90), 12, fill=(255, 210, 40, 255))
    return lettered(sticker, "#203080"), np.asarray(sticker)


def done(
    data: bytes, engine: InpaintEngine, mode: MaskMode = MaskMode.BOX, masking: MaskOptions | None = None,
    mask: bytes | None = None, kind: Literal["image", "mask", "overlay"] = "image",
) -> JobResult:  # fmt: skip
    regions, output = None if mask else (REGION,), OutputOptions(kind=kind)
    job = InpaintJob(regions, masking=masking or MaskOptions(mode), output=output)
    return process(
        job, data, mask, engine, max_pixels=10**6, max_window_px=2048, on_progress=lambda _: None,
        should_stop=lambda: False,
    )  # fmt: skip


def rgba(result: JobResult) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(result.data)))


def over(picture: Pixels, ground: int) -> NDArray[np.float64]:
    """As it is seen on a ground of that grey."""
    alpha = picture[..., 3:] / 255
    return np.asarray(picture[..., :3] * alpha + ground * (1 - alpha))


def outside() -> NDArray[np.bool_]:
    around = np.ones(SIZE[::-1], bool)
    around[REGION.cover().slices] = False
    return around


@pytest.mark.parametrize("engine", [OpenCVEngine(), ClassicEngine()], ids=lambda engine: engine.info.name)
@pytest.mark.parametrize("mode", list(MaskMode))
@pytest.mark.parametrize("scene", [plain_on_transparent, shadowed_on_transparent, sticker_that_ends_in_the_box])
def test_text_goes(scene: Callable[[], tuple[Pixels, Pixels]], mode: MaskMode, engine: InpaintEngine) -> None:
    before, bare = scene()
    result = done(encoded(before), engine, mode)
    after = rgba(result)
    assert (after[outside()] == before[outside()]).all()
    if not bare.any():
        assert after[..., 3].max() <= 1  # of 255: what is left of a shadow's very end
    wrong = [np.abs(over(after, ground) - over(bare, ground)).mean() for ground in (0, 127, 255)]
    # Under a box nobody knows where between its upper and its lower side a sticker ended.
    assert max(wrong) < (2 if mode is MaskMode.BOX else 0.2)
    report = result.stats.regions[0]
    if mode is not MaskMode.BOX:
        assert (report.mode, report.erased) == (MaskMode.STROKES, True)
        assert report.confidence is not None
        assert report.confidence > 0.8


def test_text_that_stays_visible_is_not_called_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.transparency.cv2.inpaint", lambda alpha, *_: alpha)
    report = done(encoded(plain_on_transparent()[0]), OpenCVEngine(), MaskMode.AUTO).stats.regions[0]
    assert (report.mode, report.erased) == (MaskMode.BOX, False)


def test_what_is_under_no_alpha_stains_nothing_that_is_seen() -> None:
    """Editors leave any colour where nothing is seen; a fill that went on from it would be green here."""
    before, bare = (picture.copy() for picture in sticker_that_ends_in_the_box())
    before[before[..., 3] == 0, :3] = (0, 255, 0)
    after = rgba(done(encoded(before), OpenCVEngine()))
    assert (after[outside()] == before[outside()]).all()
    seen = after[REGION.cover().slices]
    assert np.abs(seen[seen[..., 3] > 0][:, :3].astype(int) - bare[50, 50, :3]).max() <= 3


def test_sixteen_bits_lose_their_text_and_keep_all_bits_elsewhere() -> None:
    before = np.asarray(plain_on_transparent()[0] * np.uint16(257) + np.array([1000, 1000, 1000, 0]), np.uint16)
    result = done(png(before, {}), ClassicEngine(), MaskMode.AUTO)
    found = codec.decode(result.data, max_pixels=10**6).deep
    assert found is not None
    assert not found[..., 3].any()
    assert (found[outside()] == before[outside()]).all()


def test_the_alpha_fades_as_the_colours_do() -> None:
    before, _ = sticker_that_ends_in_the_box()
    hard = rgba(done(encoded(before), OpenCVEngine(), masking=MaskOptions(dilate_px=4)))[..., 3]
    soft = rgba(done(encoded(before), OpenCVEngine(), masking=MaskOptions(dilate_px=4, feather_px=3)))[..., 3]
    inner = REGION.cover().slices
    assert (soft[inner] == hard[inner]).all()
    changed = [np.abs(alpha.astype(int) - before[..., 3])[outside()].sum() for alpha in (soft, hard)]
    assert 0 < changed[0] < changed[1]


@pytest.mark.parametrize("alpha", [0, 90, 255])
@pytest.mark.parametrize("mode", [MaskMode.BOX, MaskMode.AUTO])
def test_where_alpha_is_the_same_everywhere_it_makes_no_difference(mode: MaskMode, alpha: int) -> None:
    opaque = lettered(Image.new("RGBA", SIZE, (200, 190, 180, 255)))
    clear = opaque.copy()
    clear[..., 3] = alpha
    results = [done(encoded(picture), ClassicEngine(), mode) for picture in (opaque, clear)]
    assert (rgba(results[0])[..., :3] == rgba(results[1])[..., :3]).all()
    assert (rgba(results[1])[..., 3] == alpha).all()
    assert results[0].stats.regions == results[1].stats.regions


def test_a_mask_over_all_of_the_picture_leaves_what_most_of_it_was() -> None:
    before, _ = plain_on_transparent()
    everything = encoded(np.full(SIZE[::-1], 255, np.uint8))
    assert not rgba(done(encoded(before), OpenCVEngine(), mask=everything))[..., 3].any()


def test_a_sent_mask_takes_the_alpha_of_its_text_along() -> None:
    before, _ = plain_on_transparent()
    mask = np.asarray(cv2.dilate(np.sign(before[..., 3]) * 255, np.ones((3, 3), np.uint8)), np.uint8)
    assert not rgba(done(encoded(before), OpenCVEngine(), mask=encoded(mask)))[..., 3].any()


def test_mask_and_overlay_are_seen_on_transparent_ground() -> None:
    before, _ = plain_on_transparent()
    overlay = rgba(done(encoded(before), OpenCVEngine(), kind="overlay"))[..., 3]
    box = np.zeros(before.shape[:2], bool)
    box[25:75, 30:210] = True
    assert (overlay[box] == 255).all()
    assert (overlay[~box] == before[~box, 3]).all()
    mask = rgba(done(encoded(before), OpenCVEngine(), kind="mask"))
    assert mask.shape[2] == 3
    assert ((mask > 0).all(2) == box).all()


def test_a_letter_that_the_region_cuts_leaves_nothing_in_it_and_all_beyond() -> None:
    before, _ = plain_on_transparent()
    cut = Rect(30, 25, 62, 50)
    job = InpaintJob((cut,), masking=MaskOptions(MaskMode.AUTO))
    result = process(
        job, encoded(before), None, OpenCVEngine(), max_pixels=10**6, max_window_px=2048,
        on_progress=lambda _: None, should_stop=lambda: False,
    )  # fmt: skip
    after, inner = rgba(result), cut.cover().slices
    assert before[inner][:, -1, 3].any()
    assert not after[inner][..., 3].any()
    beyond = np.ones(SIZE[::-1], bool)
    beyond[inner] = False
    assert (after[beyond] == before[beyond]).all()
