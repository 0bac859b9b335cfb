"""Writing PNG: the service's own encoder beside those of OpenCV and Pillow. CPU time of one core, best of five."""

import io
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow
from skimage import data

from benchmarks.speed.engine_alone import cpu_name
from benchmarks.strokes import page_of_lines
from models.codec.png import png
from models.engine import Image

_SIDE, _REPEATS = 2048, 5
_GRAIN_LEVELS = 4.0


def pictures() -> dict[str, Image]:
    cat = Pillow.fromarray(data.chelsea())  # type: ignore[no-untyped-call]  # scikit-image has no types there
    smooth = np.asarray(cat.resize((_SIDE, _SIDE), Pillow.Resampling.BICUBIC))
    grain = np.random.default_rng(1).normal(0, _GRAIN_LEVELS, smooth.shape)
    grainy = np.clip(np.rint(smooth + grain), 0, 255).astype(np.uint8)
    return {"photograph": smooth, "grainy photograph": grainy, "page of text": page_of_lines()[0]}


def _opencv(picture: Image, *parameters: int) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), parameters)[1].tobytes()


def _pillow(picture: Image, level: int) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


ENCODERS: dict[str, Callable[[Image], bytes]] = {
    "ours": lambda picture: png(picture, {}),
    "OpenCV, Paeth and runs": lambda picture: _opencv(
        picture, cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH,
        cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE,
    ),
    "OpenCV": _opencv,
    "Pillow, level 1": lambda picture: _pillow(picture, 1),
    "Pillow": lambda picture: _pillow(picture, 6),
}  # fmt: skip


def steps() -> int:
    return 3 * len(ENCODERS)


def measure(tick: Callable[[], None]) -> dict[str, Any]:
    """Rows of encoder, picture, milliseconds to write and to read again (by Pillow), and the file's megabytes."""
    cv2.setNumThreads(1)
    rows = []
    for name, picture in pictures().items():
        for encoder, encode in ENCODERS.items():
            write_ms, file = _best(encode, picture)
            read_ms, read = _best(lambda file: np.asarray(Pillow.open(io.BytesIO(file))), file)
            if not np.array_equal(read, picture):
                raise AssertionError(f"{encoder} changed the {name}.")
            size_mb = round(len(file) / 1e6, 2)
            rows.append({"picture": name, "encoder": encoder, "ms": write_ms, "read_ms": read_ms, "mb": size_mb})
            tick()
    return {"device": cpu_name(), "side": _SIDE, "rows": rows}


def _best(work: Callable[[Any], Any], argument: object) -> tuple[float, Any]:
    times = []
    for _ in range(_REPEATS):
        started = time.process_time()
        result = work(argument)
        times.append(time.process_time() - started)
    return round(1000 * min(times), 1), result
