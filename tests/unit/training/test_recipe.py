"""The recipe behind models/strokes/strokes.npz: the same samples for the same seed, with a truth that is true."""

import io
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ImageFont

from models.strokes.network import load
from tests.support.pictures import photo
from training.shards import fonts_of, make_shard, photographs_of


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Debian's packages make it: one photograph and one font, Pillow's own."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "backgrounds").mkdir()
    cv2.imwrite(str(folder / "backgrounds" / "one.png"), photo(640, 480, 3))
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert isinstance(font.path, io.BytesIO)
    (folder / "one.ttf").write_bytes(font.path.getvalue())
    return folder


def test_the_same_seed_makes_the_same_samples(data: Path) -> None:
    first, again, other = (make_shard(photographs_of(data), fonts_of(data), seed, 3) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_every_sample_has_a_region_and_strokes_where_something_is_written(data: Path) -> None:
    shard = make_shard(photographs_of(data), fonts_of(data), 3, 12)
    strokes, inside, others = (shard[..., channel] > 0 for channel in (3, 4, 5))
    assert inside.any((1, 2)).all()
    assert not (inside & others).any()
    written = (strokes & inside).any((1, 2))
    assert written.mean() > 0.5
    # Strokes are few among the pixels of a crop, and novel to their surroundings.
    assert strokes.mean() < 0.5
    novelty = shard[..., 6].astype(np.float32)
    assert novelty[strokes].mean() > novelty[~strokes].mean()


def test_training_writes_weights_that_load(data: Path, tmp_path: Path) -> None:
    shards, out = tmp_path / "shards", tmp_path / "out.npz"
    shards.mkdir()
    np.save(shards / "0.npy", make_shard(photographs_of(data), fonts_of(data), 4, 4))
    command = [sys.executable, "-m", "training.strokes", str(shards), str(out), "--steps", "2"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "2/2 loss" in told
    shipped = dict(load().named_parameters())
    made = dict(load(out).named_parameters())
    assert {name: value.shape for name, value in made.items()} == {name: value.shape for name, value in shipped.items()}
    assert all(value.isfinite().all() for value in made.values())
