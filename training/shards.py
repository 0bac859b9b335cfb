"""Samples on disk, as the training reads them: `python -m training.shards FOLDER --data DATA --shard N`."""

import argparse
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray

from training.grounds import Photographs
from training.lettering import typefaces
from training.samples import HEIGHT, WIDTH, sample

CHANNELS = 7
"""RGB, strokes, inside, others (all 0 or 1), novelty (in halves of a CIELAB unit)."""
_HELD_OUT = ("astronaut", "chelsea", "coffee", "rocket")
"""scikit-image's pictures that quality is measured on. These are not looked at."""
_ALLOWED = (
    "motorcycle_left.png", "hubble_deep_field.jpg", "retina.jpg", "ihc.png", "gravel.png", "brick.png", "grass.png",
    "camera.png", "coins.png", "moon.png",
)  # fmt: skip


def make_shard(photographs: Photographs, fonts: list[Path], seed: int, count: int) -> NDArray[np.uint8]:
    """``(count, HEIGHT, WIDTH, CHANNELS)``; the same for the same arguments and data."""
    random = np.random.default_rng([2026, seed])
    faces = typefaces(fonts)
    shard = np.empty((count, HEIGHT, WIDTH, CHANNELS), np.uint8)
    for row in shard:
        one = sample(photographs, faces, random)
        row[..., :3] = one.shown
        row[..., 3], row[..., 4], row[..., 5] = one.strokes, one.inside, one.others
        row[..., 6] = np.rint(one.novelty * 2)
    return shard


def photographs_of(data: Path) -> Photographs:
    """Those of a folder, and those of scikit-image that nothing is measured on."""
    own = Path(skimage.data.__file__).parent
    files = sorted(file for file in data.rglob("*") if file.suffix in {".jpg", ".png"} and "/backgrounds/" in str(file))
    return Photographs([*files, *(own / name for name in _ALLOWED)])


def fonts_of(data: Path) -> list[Path]:
    return sorted(file for file in data.rglob("*") if file.suffix.lower() in {".ttf", ".otf", ".ttc"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="with pictures in .../backgrounds/, and fonts")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--size", type=int, default=500, help="samples in one shard")
    options = parser.parse_args()
    photographs, fonts = photographs_of(options.data), fonts_of(options.data)
    options.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(options.first, options.first + options.shards):
        part = options.folder / f"{seed:04}.part"
        with part.open("wb") as file:
            np.save(file, make_shard(photographs, fonts, seed, options.size))
        part.rename(part.with_suffix(".npy"))
        print(f"shard {seed}: {options.size} samples", flush=True)


if __name__ == "__main__":
    main()
