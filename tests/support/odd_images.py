"""Every kind of odd picture that clients send, made here, with the pixels that must come back outside the mask."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from models.geometry import Rect
from tests.support.pictures import photo

WIDTH, HEIGHT = 48, 32
_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
    8: lambda a: np.rot90(a, 1),
}
"""By EXIF and TIFF: from the pixels as they are stored to those that a viewer shows."""


@dataclass(frozen=True, slots=True)
class Kind:
    """``pixels``: as a viewer shows them, in the depth of the result: ``(H, W, C)``. None: checked elsewhere."""

    name: str
    data: bytes
    pixels: NDArray[np.uint8] | NDArray[np.uint16] | None = None


def kinds() -> list[Kind]:
    return [*_depths(), *_modes(), *_profiles(), *_orientations(), *_structures()]


def refused() -> list[Kind]:
    """What is answered with an error, in words."""
    png, jpeg = _save(_rgb(), "PNG"), _save(_rgb(), "JPEG")
    return [
        Kind("truncated PNG", png[: len(png) // 2]),
        Kind("truncated JPEG", jpeg[: len(jpeg) // 2]),
        Kind("32-bit float TIFF", _save(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")),
        Kind("GIF (any other format)", _save(_rgb(), "GIF")),
        Kind("empty", b""),
        Kind("not an image", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ]


def deep_photo(channels: int, seed: int = 0) -> NDArray[np.uint16]:
    """All 16 bits in use."""
    low = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, channels))
    high = np.dstack([photo(WIDTH, HEIGHT, seed), photo(WIDTH, HEIGHT, seed + 1)[:, :, :1]])[:, :, :channels]
    return ((high.astype(np.uint16) << 8) | low.astype(np.uint16)).astype(np.uint16)


def deep_png(pixels: NDArray[np.uint16]) -> bytes:
    """By the specification, without the code under test."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content) for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def deep_keyed(channels: int) -> tuple[bytes, NDArray[np.uint16]]:
    """One colour is transparent, but not its neighbour that is the same in 8 bits; and the pixels with their alpha."""
    pixels = deep_photo(channels)
    pixels[20:26, 30:40] = pixels[0, 0]
    pixels[26:30, 30:40] = pixels[0, 0] ^ 1
    whole = deep_png(pixels)
    key = chunk(b"tRNS", pixels[0, 0].astype(">u2").tobytes())
    alpha = np.where((pixels == pixels[0, 0]).all(axis=2), 0, 65535).astype(np.uint16)
    return whole[:33] + key + whole[33:], np.dstack([pixels, alpha])


def deep_tiff(pixels: NDArray[np.uint16], orientation: int) -> bytes:
    """RGB in one strip, after the directory and the three depths that it refers to."""
    height, width, _ = pixels.shape
    tags = {256: width, 257: height, 258: 0, 259: 1, 262: 2, 273: 0, 274: orientation, 277: 3, 278: height, 279: 0}
    depths = 8 + 2 + 12 * len(tags) + 4
    tags |= {258: depths, 273: depths + 6, 279: pixels.nbytes}
    entries = [struct.pack("<HHII", tag, *((3, 3) if tag == 258 else (4, 1)), value) for tag, value in tags.items()]
    directory = struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4)
    return (
        b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<HHH", 16, 16, 16) + pixels.astype("<u2").tobytes()
    )


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _depths() -> list[Kind]:
    made = []
    for channels, name in ((1, "gray"), (2, "gray with alpha"), (3, "RGB"), (4, "RGBA")):
        pixels = deep_photo(channels)
        made.append(Kind(f"16-bit {name} PNG", deep_png(pixels), pixels))
    for channels, name in ((1, "gray PNG with one transparent level"), (3, "RGB PNG with one transparent colour")):
        made.append(Kind(f"16-bit {name}", *deep_keyed(channels)))
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = deep_png(deep_photo(3))
    turned = whole[:33] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + whole[33:]
    made.append(Kind("16-bit RGB PNG, orientation 6", turned, np.rot90(deep_photo(3), -1)))
    rgb = deep_photo(3)
    _, tiff = cv2.imencode(".tiff", np.ascontiguousarray(rgb[:, :, ::-1]))
    made.append(Kind("16-bit RGB TIFF", tiff.tobytes(), rgb))
    made.append(Kind("16-bit gray TIFF", _save(Image.fromarray(deep_photo(1)[:, :, 0]), "TIFF"), deep_photo(1)))
    return made


def _modes() -> list[Kind]:
    rgba = Image.fromarray(np.dstack([photo(WIDTH, HEIGHT), photo(WIDTH, HEIGHT, 1)[:, :, 0]]))
    palette = _rgb().quantize(16)
    indices = np.asarray(palette)
    shown = np.dstack([np.asarray(palette.convert("RGB")), np.where(indices == 3, 0, 255).astype(np.uint8)])
    keyed = _rgb()
    colour = keyed.getpixel((0, 0))
    key = np.where((np.asarray(keyed) == colour).all(axis=2), 0, 255).astype(np.uint8)
    return [
        Kind("gray", _save(_rgb().convert("L"), "PNG"), _array(_rgb().convert("L"))),
        Kind("gray JPEG", _save(_rgb().convert("L"), "JPEG"), _array(_reopened(_rgb().convert("L"), "JPEG"))),
        Kind("gray with alpha", _save(rgba.convert("LA"), "PNG"), _array(rgba.convert("LA"))),
        Kind("black and white, 1 bit", _save(_rgb().convert("1"), "PNG"), _array(_rgb().convert("1").convert("L"))),
        Kind("palette", _save(palette, "PNG"), _array(palette.convert("RGB"))),
        Kind("palette with transparency", _save(palette, "PNG", transparency=3), shown),
        Kind(
            "RGB with one transparent colour",
            _save(keyed, "PNG", transparency=colour),
            np.dstack([np.asarray(keyed), key]),
        ),
        Kind("RGBA", _save(rgba, "PNG"), _array(rgba)),
        Kind("RGBA WebP", _save(rgba, "WEBP", lossless=True, exact=True), _array(rgba)),
        Kind("CMYK JPEG without a profile", _save(_rgb().convert("CMYK"), "JPEG")),
        Kind("BMP", _save(_rgb(), "BMP"), _array(_rgb())),
        Kind("TIFF, LZW", _save(_rgb(), "TIFF", compression="tiff_lzw"), _array(_rgb())),
        Kind("AVIF", _save(_rgb(), "AVIF", quality=100, subsampling="4:4:4"), _avif_pixels()),
    ]


def _profiles() -> list[Kind]:
    profile = srgb_profile()
    return [
        Kind("RGB with an ICC profile", _save(_rgb(), "PNG", icc_profile=profile), _array(_rgb())),
        Kind(
            "gray with a colour profile",
            _save(_rgb().convert("L"), "PNG", icc_profile=profile),
            _array(_rgb().convert("L")),
        ),
        Kind("broken ICC profile", _save(_rgb(), "PNG", icc_profile=b"no profile at all"), _array(_rgb())),
    ]


def _orientations() -> list[Kind]:
    made = []
    for number, turn in _TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = number
        data = _save(_rgb(), "JPEG", exif=exif)
        made.append(Kind(f"EXIF orientation {number}", data, turn(_array(_reopened(_rgb(), "JPEG")))))
    for number, turn in _TURNS.items():
        data = _save(_rgb(), "TIFF", tiffinfo={0x0112: number}, compression="tiff_lzw")
        made.append(Kind(f"TIFF, orientation {number}", data, turn(_array(_rgb()))))
    for number, turn in _TURNS.items():
        name = f"16-bit RGB TIFF, orientation {number}"
        made.append(Kind(name, deep_tiff(deep_photo(3), number), turn(deep_photo(3))))
    return made


def _structures() -> list[Kind]:
    other = Image.fromarray(photo(WIDTH, HEIGHT, 5))
    jpeg = _reopened(_rgb(), "JPEG")
    column = photo(1, 20_000)
    return [
        Kind("progressive JPEG", _save(_rgb(), "JPEG", progressive=True), _array(jpeg)),
        Kind("interlaced PNG", _interlaced(photo(WIDTH, HEIGHT)), _array(_rgb())),
        Kind("1 x 1", _save(Image.fromarray(photo(1, 1)), "PNG"), photo(1, 1)),
        Kind("1 x 20000", _save(Image.fromarray(column), "PNG"), column),
        Kind("animated PNG", _save(_rgb(), "PNG", save_all=True, append_images=[other]), _array(_rgb())),
        Kind(
            "animated WebP",
            _save(_rgb(), "WEBP", save_all=True, append_images=[other], lossless=True),
            _array(_rgb()),
        ),
        Kind("TIFF of several pages", _save(_rgb(), "TIFF", save_all=True, append_images=[other]), _array(_rgb())),
        Kind("trailing garbage", _save(_rgb(), "PNG") + b"PK\x03\x04" * 100, _array(_rgb())),
        Kind("damaged EXIF", _save(_rgb(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), _array(jpeg)),
    ]


def _interlaced(pixels: NDArray[np.uint8]) -> bytes:
    """Adam7, which Pillow reads but does not write."""
    height, width = pixels.shape[:2]
    rows = b""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):  # fmt: skip  # noqa: E501
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[y0::dy, x0::dx])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content) for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def _rgb() -> Image.Image:
    return Image.fromarray(photo(WIDTH, HEIGHT))


def _avif_pixels() -> NDArray[np.uint8]:
    return _array(_reopened(_rgb(), "AVIF", quality=100, subsampling="4:4:4"))


def _array(image: Image.Image) -> NDArray[np.uint8]:
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def _reopened(image: Image.Image, kind: str, **options: object) -> Image.Image:
    opened = Image.open(io.BytesIO(_save(image, kind, **options)))
    opened.load()
    return opened


def _save(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


HOLE = Rect(8, 4, 6, 5)
"""What is removed from each."""


def hole_of(kind: Kind) -> Rect:
    return {"1 x 1": Rect(0, 0, 1, 1), "1 x 20000": Rect(0, 100, 1, 50)}.get(kind.name, HOLE)


def pixels_of(data: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """By OpenCV; gray with alpha by Pillow and by hand, which OpenCV does not read."""
    opened = Image.open(io.BytesIO(data))
    if data[24] == 16 and data[25] == 4:
        return _gray_alpha(data)
    if opened.mode == "LA":
        return np.asarray(opened)
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    whole: NDArray[np.uint8] | NDArray[np.uint16]
    whole = found.astype(np.uint16) if data[24] == 16 else found.astype(np.uint8)
    if whole.ndim == 2:
        return whole[:, :, np.newaxis]
    return whole[:, :, [2, 1, 0, *range(3, whole.shape[2])]]


def _gray_alpha(data: bytes) -> NDArray[np.uint16]:
    width, height = struct.unpack(">II", data[16:24])
    at, packed = 8, b""
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        packed += data[at + 8 : at + 8 + length] if data[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, -1)
    kinds, lines = set(rows[:, 0].tolist()), rows[:, 1:]
    assert kinds in ({1}, {2}), "other filters are not undone here"
    whole = lines.cumsum(0, np.uint8) if kinds == {2} else lines.reshape(height, width, 4).cumsum(1, np.uint8)
    return whole.reshape(height, width, 4).view(">u2").astype(np.uint16)


def says(data: bytes) -> str:
    depth, colour = data[24], {0: "gray", 2: "RGB", 4: "gray with alpha", 6: "RGBA"}[data[25]]
    return f"{colour}, {depth} bits"


def compare(kind: Kind, answer: bytes) -> None:
    """Every pixel outside the hole is as it was sent; those inside are new."""
    found = pixels_of(answer)
    if kind.pixels is None:
        return
    assert (found.dtype, found.shape) == (kind.pixels.dtype, kind.pixels.shape)
    hole = hole_of(kind)
    outside = np.ones(found.shape[:2], bool)
    outside[int(hole.y) : int(hole.y + hole.height), int(hole.x) : int(hole.x + hole.width)] = False
    assert np.array_equal(found[outside], kind.pixels[outside])
    if outside.any() and not kind.name.startswith("black"):
        assert not np.array_equal(found[~outside], kind.pixels[~outside]), "nothing was removed"
