"""What a plan consists of: windows of the image, each one run of an engine."""

from dataclasses import dataclass

from models.geometry import Box
from models.job import HDStrategy


@dataclass(frozen=True, slots=True)
class Window:
    """One run of the engine over ``box``; only masked pixels within ``core`` are taken from the result.

    ``ramp_px``: over so many columns at the core's left and rows at its top, the result fades into what the tile
    before it left there; 0 where no tile is beside it.
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
