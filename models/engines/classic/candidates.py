"""The weightless fills by name, with what each costs."""

from models.engines.classic import smooth
from models.engines.classic.pattern import pattern
from models.engines.classic.trial import Candidate

SMOOTH_ENOUGH = 1.0
"""Levels: ground that a surface meets so closely needs no trial."""


def candidates() -> tuple[Candidate, ...]:
    """All that ``classic`` tries. Costs in microseconds of one core, measured on windows of 500x160 pixels."""
    return tuple(_FILLS.values())


_FILLS = {
    "surface": Candidate("surface", smooth.surface, lambda pixels, missing: 6000.0),
    "navier-stokes": Candidate("navier-stokes", smooth.navier_stokes, lambda pixels, missing: 1.0 * missing),
    "local-surface": Candidate(
        "local-surface", lambda image, unknown: smooth.local_surface(image, unknown, 3.0),
        lambda pixels, missing: 0.2 * pixels,
    ),
    "wide-surface": Candidate(
        "wide-surface", lambda image, unknown: smooth.local_surface(image, unknown, 10.0),
        lambda pixels, missing: 0.25 * pixels,
    ),
    "biharmonic": Candidate("biharmonic", smooth.biharmonic, lambda pixels, missing: 0.03 * missing**1.5),
    "pattern": Candidate("pattern", pattern, lambda pixels, missing: 0.3 * pixels),
}  # fmt: skip
_UNTRIED = {"telea": Candidate("telea", smooth.telea, lambda pixels, missing: 1.0 * missing)}
"""Can be named, but never won a trial."""

FALLBACK = _FILLS["navier-stokes"]
"""Taken where nothing is known beside the mask to try on."""


def named(name: str) -> Candidate:
    return (_FILLS | _UNTRIED)[name]
