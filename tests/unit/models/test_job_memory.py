"""A job is let in by what it is said to need, so it must not need more."""

import functools
import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models import codec, memory
from models.engine import Filling, Image, Mask, OnStep, ShouldStop
from models.engines.classic.smooth import biharmonic
from models.engines.fake import FakeEngine
from models.geometry import Rect
from models.job import DiffusionOptions, HDOptions, HDStrategy, InpaintJob, MaskMode, MaskOptions, OutputOptions
from models.pipeline import process

WIDTH, HEIGHT = 1200, 900
KEPT_BYTES = 8_000_000
"""What the allocator may keep in a process that has done other things, whatever the size of the picture."""
LINE, ALL = (Rect(100, 100, 300, 60),), (Rect(0, 0, WIDTH, HEIGHT - 2),)
FADED = MaskOptions(dilate_px=1, feather_px=1)
SMALLER = HDOptions(HDStrategy.RESIZE, resize_limit=600)
NEARLY = HDOptions(HDStrategy.RESIZE, resize_limit=WIDTH - 10)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read as Linux tells it")


def png(pixels: NDArray[Any]) -> bytes:
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def jpeg(pixels: NDArray[Any]) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def lettered(ground: NDArray[Any]) -> NDArray[Any]:
    for y in range(60, HEIGHT, 60):
        cv2.putText(ground, "The quick brown fox jumps over the lazy dog" * 2, (20, y), 0, 1, (20, 20, 20), 2, 16)
    return ground


def pictures() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 255, (30, 40, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    noisy = rng.integers(0, 65536, (HEIGHT, WIDTH, 4), np.uint16)
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:250] = np.arange(250, dtype=np.uint8)[:, np.newaxis]
    yield "smooth", png(smooth)
    yield "gray", png(smooth[:, :, 0])
    yield "jpeg", jpeg(smooth)
    yield "noisy", png(noisy.astype(np.uint8)[:, :, :3])
    yield "transparent", png(np.dstack([smooth, alpha]))
    yield "gray of 16 bits", png(noisy[:, :, 0])
    yield "16 bits", png(noisy[:, :, :3])
    yield "opaque of 16 bits", png(np.dstack([noisy[:, :, :3], np.full_like(noisy[:, :, 0], 65535)]))
    yield "transparent of 16 bits", png(np.dstack([noisy[:, :, :3], alpha.astype(np.uint16) * 257]))
    yield "a page", jpeg(lettered(np.full_like(smooth, 230)))
    yield "letters", jpeg(lettered(smooth))
    yield "faded letters", png(np.dstack([lettered(smooth), alpha]))


PICTURES = dict(pictures())
LETTERED = "a page", "letters", "faded letters"


class Grey(FakeEngine):
    """Needs no memory of its own, which would be counted as a pass's."""

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        return Filling(np.full_like(image, 127))


def done(job: InpaintJob, picture: str, mask: bytes | None = None, max_window_px: int = 2048) -> None:
    process(
        job, PICTURES[picture], mask, Grey(), max_pixels=10**8, max_window_px=max_window_px,
        on_progress=lambda event: None, should_stop=lambda: False,
    )  # fmt: skip


def bytes_of(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


@pytest.fixture(scope="module", autouse=True)
def loaded() -> Iterator[None]:
    """What every process needs once."""
    done(InpaintJob(LINE, masking=FADED), "transparent of 16 bits")
    done(InpaintJob(LINE, masking=MaskOptions(MaskMode.STROKES)), "letters")
    gc.freeze()  # what is here need not be looked through before each measurement
    yield
    gc.unfreeze()


def peak_bytes(job: InpaintJob, picture: str, **more: Any) -> int:
    return peak_of(functools.partial(done, job, picture, **more))


def peak_of(work: Callable[[], object]) -> int:
    gc.collect()
    memory.trim()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = bytes_of("VmRSS")
    work()
    return bytes_of("VmHWM") - before


def what_of(job: InpaintJob) -> str:
    return "a line" if job.regions == LINE else "all, resized" if job.hd == NEARLY else "all"


@pytest.mark.parametrize(
    ("job", "picture"),
    [
        *((InpaintJob(LINE), picture) for picture in PICTURES if picture not in LETTERED),
        *((InpaintJob(ALL, masking=FADED), picture) for picture in ("jpeg", "transparent", "transparent of 16 bits")),
        *((InpaintJob(ALL, masking=FADED, hd=NEARLY), picture) for picture in ("smooth", "transparent")),
    ],
    ids=lambda value: value if isinstance(value, str) else what_of(value),
)
def test_a_picture_takes_no_more_than_it_is_charged(job: InpaintJob, picture: str) -> None:
    charged = memory.picture_bytes(job, codec.probe(PICTURES[picture], max_pixels=10**8))
    assert 0.4 * charged < peak_bytes(job, picture) <= charged + KEPT_BYTES


@pytest.mark.parametrize("picture", ["noisy", "transparent of 16 bits"])
@pytest.mark.parametrize(
    "output",
    [OutputOptions("jpeg"), OutputOptions("webp", 80), OutputOptions("webp", 100), OutputOptions(kind="overlay")],
    ids=["jpeg", "webp", "lossless webp", "overlay"],
)
def test_nor_does_any_output(output: OutputOptions, picture: str) -> None:
    job = InpaintJob(ALL, output=output)
    charged = memory.picture_bytes(job, codec.probe(PICTURES[picture], max_pixels=10**8))
    assert peak_bytes(job, picture) <= charged + KEPT_BYTES


@pytest.mark.parametrize("mask", ["gray", "transparent", "transparent of 16 bits"])
def test_nor_does_a_mask(mask: str) -> None:
    job = InpaintJob(None)
    charged = memory.picture_bytes(job, codec.probe(PICTURES["smooth"], max_pixels=10**8))
    assert peak_bytes(job, "smooth", mask=PICTURES[mask]) <= charged + KEPT_BYTES


@pytest.mark.parametrize("picture", [*LETTERED, "noisy"])
@pytest.mark.parametrize("region", [ALL[0], Rect(40, 40, WIDTH - 80, HEIGHT - 80), Rect(40, 40, 500, 400), LINE[0]])
def test_nor_do_strokes_that_are_looked_for(region: Rect, picture: str) -> None:
    job = InpaintJob((region,), masking=MaskOptions(MaskMode.STROKES))
    charged = memory.picture_bytes(job, codec.probe(PICTURES[picture], max_pixels=10**8))
    charged += memory.regions_bytes(job, WIDTH, HEIGHT)
    assert 0.3 * charged < peak_bytes(job, picture) <= charged + KEPT_BYTES


def test_nor_do_tiles() -> None:
    job = InpaintJob(ALL, masking=FADED)
    charged = memory.picture_bytes(job, codec.probe(PICTURES["smooth"], max_pixels=10**8))
    assert peak_bytes(job, "smooth", max_window_px=1150) <= charged + KEPT_BYTES


@pytest.mark.parametrize("known_every", [300, 12], ids=["a square", "a sponge"])
def test_nor_does_a_hole_that_is_solved(known_every: int) -> None:
    unknown = np.zeros((300, 300), bool)
    unknown[40:260, 40:260] = True
    unknown[::known_every, ::known_every] = False
    image = np.random.default_rng(0).integers(0, 255, (*unknown.shape, 3), np.uint8)
    biharmonic(image[:80, :80], unknown[:80, :80])  # what is loaded once
    peak, charged = peak_of(lambda: biharmonic(image, unknown)), memory.solver_bytes("classic", int(unknown.sum()))
    assert 0.5 * charged < peak <= charged + KEPT_BYTES


def test_what_more_is_charged_for() -> None:
    def per_px(picture: str, job: InpaintJob) -> float:
        return memory.picture_bytes(job, codec.probe(PICTURES[picture], max_pixels=10**8)) / (WIDTH * HEIGHT)

    job = InpaintJob(LINE)
    plain = per_px("smooth", job)
    assert plain == per_px("gray", job) == per_px("jpeg", job) == memory.JOB_BYTES_PER_PX
    assert plain < per_px("gray of 16 bits", job) < per_px("16 bits", job) < per_px("transparent of 16 bits", job)
    assert plain < per_px("transparent", job) < per_px("transparent of 16 bits", job)
    assert plain < per_px("smooth", replace(job, hd=SMALLER))
    assert plain < per_px("smooth", replace(job, output=OutputOptions("webp", 100)))
    assert plain == per_px("smooth", replace(job, output=OutputOptions("webp", 90)))
    assert plain == per_px("smooth", replace(job, masking=MaskOptions(MaskMode.AUTO))), "its regions are charged for it"
