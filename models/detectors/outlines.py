"""From a map of text probabilities to outlines of lines: the last step of differentiable binarization.

Liao et al., *Real-time Scene Text Detection with Differentiable Binarization*, 2020: the network marks a shrunk core
of each line; the core is thresholded, outlined, and grown back by area / perimeter.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.detect import TextLine, grown, rounded

Probability = NDArray[np.uint8]
"""Shape ``(H, W)``, 0 to 255."""

_THRESHOLD = 77
"""0.3: a pixel of the core."""
_MIN_SCORE = 0.3
"""Below it nothing is a line; clients choose a higher one."""
_UNCLIP = 1.2
"""Times area over perimeter. The usual 1.6 makes outlines too high: 96 % of drawn lines reach IoU 0.5, here 99 %."""
_MIN_CORE_PX = 3
_CURVED_BELOW = 0.6
"""A core that fills less of its smallest rectangle is curved, and outlined as a polygon."""
_EPSILON_PX = 1.5


def lines_of(probability: Probability, scale: float) -> list[TextLine]:
    """Lines in the picture's pixels; ``scale`` is the map's size over the picture's. In no particular order."""
    cores = cv2.dilate((probability > _THRESHOLD).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(cores, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    lines = (_line(contour.reshape(-1, 2).astype(np.int32), probability, scale) for contour in contours)
    return [line for line in lines if line is not None]


def _line(contour: NDArray[np.int32], probability: Probability, scale: float) -> TextLine | None:
    rectangle = _rectangle(contour)
    sides = np.linalg.norm(rectangle[1] - rectangle[0]), np.linalg.norm(rectangle[2] - rectangle[1])
    if min(sides) < _MIN_CORE_PX:
        return None
    score = mean_inside(rectangle, probability)
    if cv2.contourArea(contour) < _CURVED_BELOW * sides[0] * sides[1]:
        core = cv2.approxPolyDP(contour, _EPSILON_PX, True).reshape(-1, 2).astype(np.float64)
        outline, score = _grown_freely(core), mean_inside(core, probability)
    else:
        outline = grown(rectangle, float(sides[0] * sides[1] * _UNCLIP / (2 * (sides[0] + sides[1]))))
    if score < _MIN_SCORE:
        return None
    # Pixel centres to edges: a core of pixels 3..5 covers 3.0 to 6.0.
    outline = (outline + 0.5) / scale
    return TextLine(rounded(outline), round(score, 3))


def _rectangle(contour: NDArray[np.int32]) -> NDArray[np.float64]:
    """The smallest rectangle's corners, clockwise from the top left (as it would be after turning it upright)."""
    corners = cv2.boxPoints(cv2.minAreaRect(contour)).astype(np.float64)
    centre = corners.mean(axis=0)
    along, across = corners[1] - corners[0], corners[2] - corners[1]
    if abs(along[0]) < abs(across[0]):
        along, across = across, along
    along *= 1.0 if along[0] >= 0 else -1.0
    across *= 1.0 if across[1] >= 0 else -1.0
    return np.stack([centre + (sx * along + sy * across) / 2 for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))])


def _grown_freely(core: NDArray[np.float64]) -> NDArray[np.float64]:
    """A curved core, grown by area / perimeter. On pixels, so that no edges can cross."""
    outline = core.astype(np.int32).reshape(-1, 1, 2)
    by = max(1, round(cv2.contourArea(outline) * _UNCLIP / max(1.0, cv2.arcLength(outline, True))))
    corner = core.min(axis=0).astype(np.int32) - by - 1
    width, height = core.max(axis=0).astype(np.int32) + by + 2 - corner
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [outline - corner], 255)
    canvas = cv2.dilate(canvas, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1)))
    contours, _ = cv2.findContours(canvas, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea)
    # OpenCV walks around anticlockwise on the screen.
    clockwise = cv2.approxPolyDP(largest, _EPSILON_PX, True).reshape(-1, 2)[::-1]
    outline_px: NDArray[np.float64] = clockwise.astype(np.float64) + corner
    return outline_px


def mean_inside(outline: NDArray[np.float64], probability: Probability) -> float:
    """The mean probability inside an outline, 0 to 1."""
    height, width = probability.shape
    low = np.clip(np.floor(outline.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    high = np.clip(np.ceil(outline.max(axis=0)).astype(int), 0, (width - 1, height - 1))
    inside = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), np.uint8)
    cv2.fillPoly(inside, [np.round(outline - low).astype(np.int32)], 1)
    return float(cv2.mean(probability[low[1] : high[1] + 1, low[0] : high[0] + 1], inside)[0]) / 255
