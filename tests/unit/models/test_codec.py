import io

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from models import codec
from models.errors import ImageTooLarge, InvalidField, InvalidImage, UnsupportedFormat
from models.job import OutputOptions
from tests.support.pictures import encoded, photo

LIMIT = 10_000_000


def roundtrip(data: bytes, kind: str = "png", quality: int = 95) -> Image.Image:
    decoded = codec.decode(data, max_pixels=LIMIT)
    out, media_type, _ = codec.encode(decoded.rgb, decoded, OutputOptions(kind, quality))  # type: ignore[arg-type]
    assert media_type == f"image/{kind}"
    return Image.open(io.BytesIO(out))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_gone(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "a description"
    data = encoded(photo(40, 24), "PNG", exif=exif)
    header = codec.probe(data, max_pixels=LIMIT)
    out = roundtrip(data)
    assert out.size == (header.width, header.height) == ((24, 40) if orientation > 4 else (40, 24))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(out), np.asarray(upright))
    assert 0x0112 not in out.getexif()
    assert out.getexif()[0x010E] == "a description"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_pixels_and_alpha_survive(mode: str) -> None:
    source = Image.fromarray(np.dstack([photo(33, 21), np.full((21, 33), 77, np.uint8)])).convert(mode)
    buffer = io.BytesIO()
    source.save(buffer, "PNG")
    out = roundtrip(buffer.getvalue())
    wanted = source.convert("RGBA" if out.mode == "RGBA" else "RGB")
    assert np.array_equal(np.asarray(out), np.asarray(wanted))
    assert (out.mode == "RGBA") == (mode in ("RGBA", "LA", "P"))


def test_palette_transparency_becomes_alpha() -> None:
    source = Image.fromarray(photo(16, 16)).quantize(8)
    buffer = io.BytesIO()
    source.save(buffer, "PNG", transparency=3)
    out = roundtrip(buffer.getvalue())
    assert out.mode == "RGBA"
    assert np.array_equal(np.asarray(out.getchannel("A")) == 0, np.asarray(source) == 3)


def test_profile_and_dpi_survive() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(photo(), "JPEG", icc_profile=profile, dpi=(300, 300))
    for kind in ("png", "jpeg", "webp"):
        assert roundtrip(data, kind).info["icc_profile"] == profile
    assert round(roundtrip(data, "jpeg").info["dpi"][0]) == 300


def test_lossless_webp() -> None:
    assert np.array_equal(np.asarray(roundtrip(encoded(photo()), "webp", 100)), photo())


def test_sixteen_bits_without_a_mask_or_in_another_format_become_eight_and_it_is_said() -> None:
    ramp = np.linspace(0, 65535, 256 * 4).astype(np.uint16).reshape(4, 256)
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "PNG")
    decoded = codec.decode(buffer.getvalue(), max_pixels=LIMIT)
    assert np.array_equal(decoded.rgb[:, :, 0], (ramp >> 8).astype(np.uint8))
    for output in (OutputOptions("png"), OutputOptions("jpeg")):
        _, _, notes = codec.encode(decoded.rgb, decoded, output)
        assert "8" in notes[0]


def test_only_the_first_frame_is_used_and_said() -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo(seed=1)).save(
        buffer, "WEBP", save_all=True, append_images=[Image.fromarray(photo(seed=2))], lossless=True
    )
    decoded = codec.decode(buffer.getvalue(), max_pixels=LIMIT)
    assert np.array_equal(decoded.rgb, photo(seed=1))
    assert "2 frames" in decoded.notes[0]


def test_dropping_alpha_is_said() -> None:
    data = encoded(np.dstack([photo(), photo()[:, :, 0]]))
    decoded = codec.decode(data, max_pixels=LIMIT)
    _, _, notes = codec.encode(decoded.rgb, decoded, OutputOptions("jpeg"))
    assert "alpha" in notes[0]


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_truncated_is_refused(kind: str, cut: float) -> None:
    data = encoded(photo(), kind)
    with pytest.raises((InvalidImage, UnsupportedFormat)):
        codec.decode(data[: int(len(data) * cut)], max_pixels=LIMIT)


def test_what_is_no_image_or_not_allowed_is_refused() -> None:
    for data in (b"", b"hello", encoded(photo(), "GIF")):
        with pytest.raises(UnsupportedFormat, match="PNG"):
            codec.probe(data, max_pixels=LIMIT)


def test_pixels_are_limited_by_the_header() -> None:
    data = encoded(photo(100, 50))
    codec.probe(data, max_pixels=5000)
    with pytest.raises(ImageTooLarge, match="4999"):
        codec.probe(data, max_pixels=4999)


def test_a_mask_is_thresholded_and_has_the_size_of_the_image() -> None:
    gray = np.array([[0, 127, 128, 255]], np.uint8)
    mask = codec.decode_mask(encoded(gray), width=4, height=1, max_pixels=LIMIT)
    assert mask.tolist() == [[0, 0, 255, 255]]
    with pytest.raises(InvalidField, match="mask"):
        codec.decode_mask(encoded(gray), width=4, height=2, max_pixels=LIMIT)
