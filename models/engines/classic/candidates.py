"""The weightless fills by name, with what each costs, in microseconds of one core."""

import math

from models.engines.classic import smooth
from models.engines.classic.pattern import LONGEST_PX, pattern
from models.engines.classic.trial import Candidate, Hole

_WIDE_PX, _DEEP_PX = 20.0, 25.0
"""Holes that are deeper than any of text take other paths: wider weights, fuller matrices."""
_MOST_US = 2_000_000.0
"""Of one hole by a named fill, unless diffusion takes longer."""


def candidates() -> tuple[Candidate, ...]:
    """All that ``classic`` tries."""
    return tuple(_FILLS.values())


def _surface_us(hole: Hole) -> float:
    return (0.17 if hole.depth_px <= _WIDE_PX else 0.7) * hole.pixels


def _biharmonic_us(hole: Hole) -> float:
    deeper_px = max(0.0, hole.depth_px - _DEEP_PX)
    return 2000.0 + 0.02 * hole.missing * (math.sqrt(hole.missing) + 2 * deeper_px)


def _pattern_us(hole: Hole) -> float:
    """What is deeper than the longest shift is left to diffusion."""
    return 0.25 * hole.pixels + (1.0 * hole.missing if hole.depth_px > LONGEST_PX else 0.0)


def _diffusion_us(hole: Hole) -> float:
    return 1.0 * hole.missing


_FILLS = {
    "surface": Candidate("surface", smooth.surface, lambda hole: 2000.0 + 0.02 * hole.pixels),
    "local-surface": Candidate(
        "local-surface", lambda image, unknown: smooth.local_surface(image, unknown, 3.0), _surface_us
    ),
    "wide-surface": Candidate(
        "wide-surface", lambda image, unknown: smooth.local_surface(image, unknown, 10.0), _surface_us
    ),
    "biharmonic": Candidate("biharmonic", smooth.biharmonic, _biharmonic_us, local=True),
    "pattern": Candidate("pattern", pattern, _pattern_us, smooth=False),
}
_UNTRIED = {
    "navier-stokes": Candidate("navier-stokes", smooth.navier_stokes, _diffusion_us),
    "telea": Candidate("telea", smooth.telea, _diffusion_us),
}
"""Can be named, but hardly ever won a trial on pairs with a known truth: not worth their time there."""

SURFACE = _FILLS["surface"]
FALLBACK = _UNTRIED["navier-stokes"]
"""Taken where nothing is known beside the mask to try on."""


def named(name: str) -> Candidate:
    return (_FILLS | _UNTRIED)[name]


def bounded(asked: Candidate, hole: Hole) -> Candidate:
    """It, or diffusion, whose work grows with the hole and no faster."""
    return FALLBACK if asked.cost(hole) > max(_MOST_US, FALLBACK.cost(hole)) else asked
