"""PP-OCRv6's small detection network (Apache-2.0), from the file that the package ``rapidocr`` carries.

Only that file is used: nothing of the package is imported, so nothing is downloaded. The network runs in ONNX Runtime
on the CPU: 0.8 µs a pixel on one core.
"""

import hashlib
import importlib.util
import itertools
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.detect import TextLine, in_reading_order
from models.detectors.outlines import Probability, lines_of, mean_inside
from models.engine import Image, ShouldStop
from models.errors import DetectorUnavailable, WorkCancelled

MODEL_SHA256 = "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"
_FILE = "models/PP-OCRv6_det_small.onnx"
# As the network was trained: the means and deviations of ImageNet, in its order of colours. The package's own 0.5
# finds 93 % of rotated lines where these find all.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32) * 255

_FINE_MAX_PX = 8_000_000
"""Larger pictures are shrunk to it: at 4000 x 3000 that is 0.82, where letters of 9 px are still all found."""
_MAX_LINE_PX = 96
"""Higher lines, in pixels of the network, are looked for in a smaller copy of the picture. There large letters are no
longer seen in pieces, and a cup or a moon, which the network takes for a letter when it fills the view, is none."""
_STEP = 3
"""Each copy has a third of the size of the one before: together they cost an eighth more."""
_MIN_COPY_PX = 32
"""Shorter side of the smallest copy."""
_COARSE_MIN_PX = 20
"""Smaller lines of a copy were seen in the larger one."""
_COARSE_MIN_ASPECT = 1.4
"""A thing so large that is hardly longer than high is not a line of text."""
_SHORT_SIDE_PX = 736
"""Smaller pictures are enlarged towards it, ``_ENLARGE_MAX`` times at most and to no more than so many pixels."""
_ENLARGE_MAX = 2.0
_ENLARGED_MAX_PX = 1_500_000
_TILE_PX = 960
_MARGIN_PX = 64
"""Of context around each tile."""
_FLAT_BELOW = 4
"""A tile with fewer grey levels than this holds no text, and is not run."""
_ALIGN_PX = 32
"""The network halves its input five times."""


def model_file() -> Path:
    """Raises ``DetectorUnavailable`` when the package is missing or carries another file."""
    found = importlib.util.find_spec("rapidocr")
    if found is None or not found.submodule_search_locations:
        raise DetectorUnavailable("Text cannot be found by itself: the package rapidocr is not installed.")
    path = Path(found.submodule_search_locations[0]) / _FILE
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != MODEL_SHA256:
        raise DetectorUnavailable("Text cannot be found by itself: the package rapidocr carries another model.")
    return path


class PPOCRDetector:
    """See ``models.detect.TextDetector``. A picture is read at several sizes, in tiles."""

    def __init__(self, threads: int) -> None:
        if importlib.util.find_spec("onnxruntime") is None:
            raise DetectorUnavailable("Text cannot be found by itself: the package onnxruntime is not installed.")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that wait must not burn the CPU of the engines beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(model_file(), options, providers=["CPUExecutionProvider"])
        self._input: str = self._session.get_inputs()[0].name

    def detect(self, rgb: Image, should_stop: ShouldStop) -> list[TextLine]:
        height, width = rgb.shape[:2]
        found: list[TextLine] = []
        for number, scale in enumerate(_scales(width, height)):
            level = _scaled(rgb, scale)
            lines = lines_of(self._map(level, should_stop), scale)
            lines = [line for line in lines if _belongs(line, scale, coarse=number > 0)]
            new = _not_among(found, lines, level.shape[:2], scale)
            # Pieces of a large letter give way to its line.
            found = _not_among(new, found, level.shape[:2], scale) + new
        return in_reading_order([line.clipped(width, height) for line in found])

    def _map(self, level: Image, should_stop: ShouldStop) -> Probability:
        """Tiles are joined here, so that a line across several of them is one line."""
        height, width = level.shape[:2]
        out = np.zeros((height, width), np.uint8)
        for top, bottom in _spans(height):
            for left, right in _spans(width):
                if should_stop():
                    raise WorkCancelled("Cancelled while text was looked for.")
                y, x = max(0, top - _MARGIN_PX), max(0, left - _MARGIN_PX)
                tile = level[y : bottom + _MARGIN_PX, x : right + _MARGIN_PX]
                if not _is_flat(tile):
                    seen = self._run(tile)
                    out[top:bottom, left:right] = seen[top - y : bottom - y, left - x : right - x]
        return out

    def _run(self, tile: Image) -> Probability:
        height, width = tile.shape[:2]
        padded = cv2.copyMakeBorder(tile, 0, -height % _ALIGN_PX, 0, -width % _ALIGN_PX, cv2.BORDER_REPLICATE)
        # Its images were BGR; each number below belongs to the plane at its place, whatever its colour.
        normal = (padded[:, :, ::-1].astype(np.float32) - _MEAN) / _DEVIATION
        planes = np.ascontiguousarray(normal.transpose(2, 0, 1)[np.newaxis])
        probability = np.asarray(self._session.run(None, {self._input: planes})[0], np.float32)[0, 0, :height, :width]
        return np.clip(np.rint(probability * 255), 0, 255).astype(np.uint8)


def _scales(width: int, height: int) -> list[float]:
    """Sizes at which the picture is read, the largest first."""
    pixels, short = width * height, min(width, height)
    scale = min(1.0, math.sqrt(_FINE_MAX_PX / pixels))
    if short < _SHORT_SIDE_PX:
        scale = max(scale, min(_SHORT_SIDE_PX / short, _ENLARGE_MAX, math.sqrt(_ENLARGED_MAX_PX / pixels)))
    scales = [scale]
    while short * scales[-1] / _STEP >= _MIN_COPY_PX:
        scales.append(scales[-1] / _STEP)
    return scales


def _belongs(line: TextLine, scale: float, coarse: bool) -> bool:
    """Whether a line is one that a copy of this scale is there for."""
    short, long = (side * scale for side in line.sides_px)
    if coarse and (short < _COARSE_MIN_PX or long < _COARSE_MIN_ASPECT * short):
        return False
    return short <= _MAX_LINE_PX


def _scaled(rgb: Image, scale: float) -> Image:
    if scale == 1.0:
        return rgb
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(rgb, size, interpolation=how).astype(np.uint8, copy=False)


def _spans(length: int) -> list[tuple[int, int]]:
    """Tiles without their margins: as few as possible, of nearly equal lengths."""
    count = max(1, math.ceil(length / _TILE_PX))
    cuts = [round(length * number / count) for number in range(count + 1)]
    return list(itertools.pairwise(cuts))


def _is_flat(tile: Image) -> bool:
    """Every colour nearly the same all over."""
    return int(np.ptp(tile.reshape(-1, 3), axis=0).max()) < _FLAT_BELOW


def _not_among(others: list[TextLine], lines: list[TextLine], size: tuple[int, int], scale: float) -> list[TextLine]:
    """The lines of which no more than half lies in others; judged on a picture of ``size`` at ``scale``."""
    if not others:
        return lines
    covered = np.zeros(size, np.uint8)
    for line in others:
        cv2.fillPoly(covered, [np.round(np.asarray(line.points) * scale).astype(np.int32)], 255)
    return [line for line in lines if mean_inside(np.asarray(line.points) * scale, covered) <= 0.5]
