"""What a plan consists of: windows of the image, each one run of an engine."""

from dataclasses import dataclass

from models.geometry import Box
from models.job import HDStrategy


@dataclass(frozen=True, slots=True)
class WindowSizes:
    """Which windows a model takes as they are. Others IOPaint fills up by mirroring (``pad_img_to_modulo``), which
    costs as much as real context and tells the model nothing.
    """

    multiple_px: int = 1
    min_px: int = 1
    square: bool = False
    max_px: int | None = None
    """Longer windows are shrunk to it by the model itself."""
    trained_px: int = 1
    """Shorter ones run as they are, but the model is bad at them."""

    def ladder(self, sides_px: tuple[int, ...]) -> tuple[int, ...]:
        """Of the ``sides_px`` for planned windows, those that this model is good at."""
        first, last = max(self.min_px, self.trained_px), self.max_px or max(sides_px)
        fitting = tuple(side for side in sides_px if first <= side <= last and side % self.multiple_px == 0)
        return fitting or (first,)

    def sides(self, width: int, height: int) -> tuple[int, int]:
        """What such a window is filled up to; one that is too long is not."""
        if self._is_too_long(width, height):
            return width, height
        columns, rows = (max(self.min_px, -(-size // self.multiple_px) * self.multiple_px) for size in (width, height))
        return (max(columns, rows), max(columns, rows)) if self.square else (columns, rows)

    def pixels(self, width: int, height: int) -> int:
        """Of what the network really runs over for such a window."""
        if self.max_px is not None and self._is_too_long(width, height):
            return self.max_px**2
        columns, rows = self.sides(width, height)
        return columns * rows

    def _is_too_long(self, width: int, height: int) -> bool:
        return self.max_px is not None and max(width, height) > self.max_px


@dataclass(frozen=True, slots=True)
class Window:
    """One run of the engine over ``box``; only masked pixels within ``core`` are taken from the result.

    ``ramp_px``: over so many columns at the core's left and rows at its top, below 0 at its right and its bottom, the
    result fades into what the tile before it left there; 0 where there is none.
    """

    box: Box
    core: Box
    ramp_px: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """``scale_to`` set: the one window is run shrunk to that longest side (``Resize``)."""

    strategy: HDStrategy
    windows: tuple[Window, ...]
    scale_to: int | None = None
    notes: tuple[str, ...] = ()
