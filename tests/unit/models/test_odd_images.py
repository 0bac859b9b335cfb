"""Every odd kind of picture through the whole pipeline; `docs/images.md` holds what these tests see."""

import contextlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import codec
from models.engines.opencv import OpenCVEngine
from models.errors import TextRemovalError
from models.geometry import Rect
from models.job import InpaintJob, JobResult, OutputOptions
from models.pipeline import process
from tests.support.odd_images import (
    HOLE,
    Kind,
    compare,
    deep_keyed,
    deep_photo,
    deep_png,
    hole_of,
    kinds,
    pixels_of,
    refused,
    says,
    srgb_profile,
)

PAGE = Path(__file__).parents[3] / "docs" / "images.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
# Pillow's word on the damaged EXIF that is sent here on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")


def run(data: bytes, output: OutputOptions | None = None, hole: Rect = HOLE) -> JobResult:
    job = InpaintJob((hole,), output=output or OutputOptions())
    return process(
        job, data, None, OpenCVEngine(), max_pixels=1_000_000, max_window_px=2048,
        on_progress=lambda event: None, should_stop=lambda: False,
    )  # fmt: skip


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
def test_what_is_outside_the_mask_comes_back_as_it_was(kind: Kind) -> None:
    compare(kind, run(kind.data, hole=hole_of(kind)).data)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
def test_the_header_tells_the_size_of_what_is_decoded(kind: Kind) -> None:
    header = codec.probe(kind.data, max_pixels=1_000_000)
    assert (header.height, header.width) == codec.decode(kind.data, max_pixels=1_000_000).rgb.shape[:2]


def table() -> str:
    rows = ["| What is sent | What comes back as PNG | What is said (`X-Notes`, `notes`) |", "| --- | --- | --- |"]
    for kind in kinds():
        result = run(kind.data, hole=hole_of(kind))
        rows.append(f"| {kind.name} | {says(result.data)} | {' '.join(result.stats.notes) or '—'} |")
    rows += ["", "| What is sent | Error | What is said |", "| --- | --- | --- |"]
    for kind in refused():
        with pytest.raises(TextRemovalError) as raised:
            run(kind.data)
        rows.append(f"| {kind.name} | `{raised.value.code}` | {raised.value.message} |")
    return "\n".join(rows) + "\n"


def test_the_table_in_the_documentation_is_what_happens() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    shown, _, after = rest.partition(END)
    if os.environ.get("UPDATE_GOLDEN"):
        shown = table()
        PAGE.write_text(before + BEGIN + shown + END + after)
    assert shown == table()


@pytest.mark.parametrize("channels", [1, 3])
def test_one_transparent_colour_of_a_deep_picture_stays_so_in_eight_bits(channels: int) -> None:
    data, pixels = deep_keyed(channels)
    out = Image.open(io.BytesIO(run(data, OutputOptions("webp", 100)).data))
    outside = np.ones(pixels.shape[:2], bool)
    outside[4:9, 8:14] = False
    assert np.array_equal(np.asarray(out.getchannel("A"))[outside], (pixels[:, :, -1] >> 8)[outside])


def test_deep_pixels_inside_the_mask_are_new_in_all_their_bits() -> None:
    flat = np.full((32, 48, 3), 0x8000, np.uint16)
    flat[4:9, 8:14] = 0x1234
    filled = pixels_of(run(deep_png(flat)).data)[4:9, 8:14]
    assert (np.abs(filled.astype(int) - 0x8000) < 0x200).all()


def test_deep_pictures_keep_profile_and_resolution() -> None:
    buffer = io.BytesIO()
    Image.fromarray(deep_photo(1)[:, :, 0]).save(buffer, "PNG", dpi=(300, 300))
    out = Image.open(io.BytesIO(run(buffer.getvalue()).data))
    assert round(out.info["dpi"][0]) == 300
    decoded = codec.decode(deep_png(deep_photo(3)), max_pixels=10_000)
    from dataclasses import replace

    mask = np.zeros(decoded.rgb.shape[:2], np.uint8)
    data, _, _ = codec.encode(decoded.rgb, replace(decoded, icc_profile=srgb_profile()), OutputOptions(), mask)
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == srgb_profile()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_metadata_that_a_format_cannot_hold_is_dropped_not_fatal(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 100_000
    source = io.BytesIO()
    Image.new("RGB", (48, 32)).save(source, "PNG", exif=exif, dpi=(1e6, 1e6), icc_profile=b"\0" * 200)
    result = run(source.getvalue(), OutputOptions(kind))  # type: ignore[arg-type]
    out = Image.open(io.BytesIO(result.data))
    assert out.size == (48, 32)
    assert any("EXIF" in note for note in result.stats.notes)
    assert any("profile" in note for note in result.stats.notes)


@pytest.mark.parametrize(("kind", "longest"), [("webp", 16_383), ("jpeg", 65_500)])
def test_a_format_that_cannot_hold_the_size_is_refused_in_words(kind: str, longest: int) -> None:
    def tall(height: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (1, height)).save(buffer, "PNG")
        return buffer.getvalue()

    output = OutputOptions(kind)  # type: ignore[arg-type]
    assert run(tall(longest), output, Rect(0, 0, 1, 2)).data
    with pytest.raises(TextRemovalError, match=str(longest)):
        run(tall(longest + 1), output, Rect(0, 0, 1, 2))


def test_no_client_fills_the_log_with_damaged_tags(capfd: pytest.CaptureFixture[str]) -> None:
    (whole,) = (kind.data for kind in kinds() if kind.name == "16-bit RGB TIFF")
    directory = int.from_bytes(whole[4:8], "little")
    count = int.from_bytes(whole[directory : directory + 2], "little")
    last = directory + 2 + 12 * (count - 1)
    strange = whole[:last] + (0xEEEE).to_bytes(2, "little") + whole[last + 2 :]
    with contextlib.suppress(TextRemovalError):
        run(strange)
    assert "Unknown field" not in capfd.readouterr().err
