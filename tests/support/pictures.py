"""Pictures that the tests make themselves: something like a photograph, with text on it."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.geometry import Rect


def photo(width: int = 320, height: int = 240, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours with grain: no two neighbouring pixels are alike, so that any change shows."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 90 * np.sin(x / (17 + 5 * c) + c) * np.cos(y / (23 + 3 * c)) for c in range(3)]
    grain = rng.integers(-20, 21, (height, width, 3))
    return np.clip(np.dstack(waves) + grain, 0, 255).astype(np.uint8)


def with_text(
    pixels: NDArray[np.uint8], at: tuple[int, int] = (40, 60), text: str = "SALE 50%"
) -> tuple[NDArray[np.uint8], Rect]:
    """The picture with text on it, and the region that holds the text."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(28)
    draw.text(at, text, font=font, fill="white", stroke_width=2, stroke_fill="black")
    left, top, right, bottom = draw.textbbox(at, text, font=font, stroke_width=2)
    return np.asarray(image), Rect(left - 2, top - 2, right - left + 4, bottom - top + 4)


def encoded(pixels: NDArray[np.uint8], kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def wire(rect: Rect) -> dict[str, float]:
    return {"x": rect.x, "y": rect.y, "width": rect.width, "height": rect.height}
