"""Finding lines of text in a picture: what a detector is, what is kept of what it finds, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Checkpoint, Image, ShouldStop, unstopped
from models.geometry import Box, Point, Polygon, Region
from models.job import FindText
from models.masks import polygon_cover, region_boxes, touched_of

_GROW = 0.03
"""Of a line's height: what sticks out of a detector's outline. More (it was a tenth) hides no more ink, but reaches the
frames of signs and the edges of buttons, where it cannot be told any more what is ground."""
_GROW_MIN_PX = 1.0


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line (or one word, where words stand far apart)."""

    points: tuple[Point, ...]
    """Corners in pixels, clockwise from the top left; four of them unless the line is curved."""
    score: float
    """0 to 1."""

    @property
    def sides_px(self) -> tuple[float, float]:
        """Of the smallest rectangle around it, the shorter one first."""
        a, b = cv2.minAreaRect(np.asarray(self.points, np.float32))[1]
        return float(min(a, b)), float(max(a, b))

    @property
    def height_px(self) -> float:
        return self.sides_px[0]

    def region(self) -> Polygon:
        """What to remove: the line, grown so that the whole glyphs are inside."""
        outline = np.asarray(self.points, np.float64)
        return Polygon(rounded(grown(outline, max(_GROW_MIN_PX, _GROW * self.height_px))))

    def clipped(self, width: int, height: int) -> Self:
        """No corner outside a picture of that size."""
        points = tuple((min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))) for x, y in self.points)
        return replace(self, points=points)


class TextDetector(Protocol):
    """One loaded detector; ``detect`` may be called by several threads."""

    def detect(self, rgb: Image, should_stop: ShouldStop) -> list[TextLine]:
        """All lines, in reading order. Same picture, same lines.

        Raises ``WorkCancelled`` when ``should_stop`` turned true between two parts of the picture.
        """
        ...


def grown(outline: NDArray[np.float64], by_px: float) -> NDArray[np.float64]:
    """A polygon of shape ``(n, 2)``, clockwise on the screen, with every edge moved outwards by ``by_px``.

    Sharp corners are cut: a corner moves at most two such distances.
    """
    edges = np.roll(outline, -1, axis=0) - outline
    outline, edges = outline[np.any(edges, axis=1)], edges[np.any(edges, axis=1)]
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1) / np.linalg.norm(edges, axis=1, keepdims=True)
    both = normals + np.roll(normals, 1, axis=0)
    # The miter: along the bisector, longer the sharper the corner.
    length = np.maximum(np.square(both).sum(axis=1, keepdims=True), 0.5)
    moved: NDArray[np.float64] = outline + 2 * by_px * both / length
    return moved


def rounded(outline: NDArray[np.float64]) -> tuple[Point, ...]:
    """To a tenth of a pixel: detectors are no more exact, and JSON stays short."""
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in outline)


def wanted(
    lines: Sequence[TextLine], find: FindText, width: int, height: int, checkpoint: Checkpoint = unstopped
) -> list[TextLine]:
    """The lines that the filter lets through, in their order.

    With ``include`` at least half of a line lies in those areas; none that is removed touches ``exclude``, not even
    when it is grown.
    """
    picture = Box(0, 0, width, height)
    for name, areas in (("include", find.include), ("exclude", find.exclude)):
        region_boxes(areas, width, height, name)
    kept = [line for line in lines if line.score >= find.min_score and line.height_px >= find.min_height_px]
    if find.include:
        kept = [line for line in kept if _share(Polygon(line.points), find.include, picture, checkpoint) >= 0.5]
    return [line for line in kept if _share(line.region(), find.exclude, picture, checkpoint) == 0]


def in_reading_order(lines: Sequence[TextLine]) -> list[TextLine]:
    """Top to bottom; lines side by side from left to right."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: (Polygon(line.points).cover().top, line.points)):
        box = Polygon(line.points).cover()
        first = Polygon(rows[-1][0].points).cover() if rows else box
        together = min(box.bottom, first.bottom) - max(box.top, first.top)
        if rows and together > 0.5 * min(box.height, first.height):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: (min(line.points), line.points))]


def _share(polygon: Polygon, areas: Sequence[Region], picture: Box, checkpoint: Checkpoint) -> float:
    """How much of the polygon's pixels (within the picture) lie in the areas, of which no more is drawn."""
    box = polygon.cover().clip(picture.width, picture.height)
    if not (box.area and areas):
        return 0.0
    inside = polygon_cover(polygon, box)
    return float(np.mean(touched_of(box, areas, checkpoint)[inside])) if inside.any() else 0.0
