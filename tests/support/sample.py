"""The picture of the README: a painted evening by the sea, a poster's words on it, and what the service makes of it.

Everything is drawn here, so that the project owns its sample.
"""

import sys
from pathlib import Path

import numpy as np
import requests
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from models.geometry import Rect
from tests.support.pictures import b64, encoded, wire

SIZE = (960, 540)
LINES = (((70, 60), "SUMMER SALE", 64), ((72, 140), "every boat must go", 34), ((600, 470), "open until sunset", 30))
FOLDER = Path(__file__).parents[2] / "docs" / "images"


def scene() -> Image.Image:
    """Sky, sun, hills and water, with grain."""
    width, height = SIZE
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    sky = np.stack([250 - y * 0.25, 150 + y * 0.12, 110 + y * 0.28], axis=2)
    glow = np.exp(-(((x - 640) / 220) ** 2 + ((y - 290) / 130) ** 2))[:, :, np.newaxis]
    picture = sky + glow * np.array([40.0, 70.0, 20.0])
    hills = 300 + 26 * np.sin(x / 90) + 14 * np.sin(x / 37 + 1)
    picture[y > hills] = picture[y > hills] * 0.25 + np.array([50.0, 45.0, 80.0])
    water = y > 345
    ripple = 18 * np.sin(y / 3 + 5 * np.sin(x / 80)) * (y / height)
    sea = np.stack([90 + ripple + 90 * glow[:, :, 0], 90 + ripple + 60 * glow[:, :, 0], 130 + ripple], axis=2)
    picture[water] = sea[water]
    grain = np.random.default_rng(7).normal(0, 3, (height, width, 1))
    image = Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.6))


def poster() -> tuple[Image.Image, list[Rect]]:
    """The scene with words on it, and a region for each line."""
    image = scene()
    draw = ImageDraw.Draw(image)
    regions = []
    for at, text, size in LINES:
        font = ImageFont.load_default(size)
        draw.text(at, text, font=font, fill=(255, 250, 235), stroke_width=2, stroke_fill=(60, 30, 50))
        left, top, right, bottom = draw.textbbox(at, text, font=font, stroke_width=2)
        regions.append(Rect(left - 3, top - 3, right - left + 6, bottom - top + 6))
    return image, regions


def main(url: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    image, regions = poster()
    image.save(FOLDER / "before.jpg", quality=92)
    pixels: NDArray[np.uint8] = np.asarray(image)
    body = {
        "image": b64(encoded(pixels)),
        "regions": [wire(region) for region in regions],
        "output_format": "jpeg",
        "quality": 92,
        "mask_mode": "auto",
    }
    response = requests.post(f"{url}/api/v1/inpaint-regions", json=body, timeout=60)
    response.raise_for_status()
    (FOLDER / "after.jpg").write_bytes(response.content)
    print(f"docs/images/before.jpg and after.jpg, filled by {response.headers['X-Model']}: {body['regions']}")


if __name__ == "__main__":
    main(sys.argv[1])
