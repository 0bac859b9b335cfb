"""Damaged pictures: whatever the bytes, the answer is a picture or one of our own errors."""

import io
import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from models import codec
from models.errors import TextRemovalError
from models.job import OutputOptions
from tests.support.odd_images import deep_photo, deep_png, kinds

LIMIT = 4_000_000
SEEDS = [kind.data for kind in kinds() if len(kind.data) < 20_000]
pytestmark = pytest.mark.filterwarnings("ignore::Warning")


def digest(data: bytes) -> None:
    """All that is done with a client's bytes; anything but our own errors fails the test."""
    try:
        header = codec.probe(data, max_pixels=LIMIT)
        decoded = codec.decode(data, max_pixels=LIMIT)
    except TextRemovalError:
        return
    assert decoded.rgb.shape == (header.height, header.width, 3)
    for kind in ("png", "jpeg", "webp"):
        try:
            data, _, _ = codec.encode(decoded.rgb, decoded, OutputOptions(kind), decoded.rgb[:, :, 0])
        except TextRemovalError:
            continue
        assert Image.open(io.BytesIO(data)).size == (header.width, header.height)


def damaged(seed: bytes, random_: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(random_.choice([1, 1, 2, 8])):
        at = random_.randrange(len(data))
        match random_.randrange(5):
            case 0:
                data[at] ^= 1 << random_.randrange(8)
            case 1:
                data[at : at + 4] = random_.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
            case 2:
                del data[at : at + random_.randrange(1, 64)]
            case 3:
                data[at:at] = data[random_.randrange(len(data)) :][:64]
            case _:
                data[at:] = data[at : at + random_.randrange(1, 64)]
        if not data:
            return b""
    return bytes(data)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(SEEDS), st.randoms(use_true_random=False))
def test_damaged_pictures(seed: bytes, random_: random.Random) -> None:
    digest(damaged(seed, random_))


def test_damage_near_the_headers() -> None:
    """Where most structure is; bounded in time, the same every run."""
    random_, end = random.Random(7), time.monotonic() + 20
    for _ in range(3000):
        seed = random_.choice(SEEDS)
        head = bytearray(seed[:200])
        head[random_.randrange(len(head))] = random_.randrange(256)
        digest(bytes(head) + seed[200:])
        if time.monotonic() > end:
            break


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0+", b"BM",
                                                  b"RIFF\x10\0\0\0WEBP", b"\0\0\0\x1cftypavif"]))  # fmt: skip
def test_noise_behind_a_magic_number(noise: bytes, magic: bytes) -> None:
    digest(magic + noise)


@pytest.mark.parametrize("cut", range(8, 200, 3))
def test_cut_deep_pictures(cut: int) -> None:
    digest(deep_png(deep_photo(3))[:cut])
