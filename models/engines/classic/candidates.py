"""The weightless fills by name, with what each costs."""

from models.engines.classic import smooth
from models.engines.classic.pattern import pattern
from models.engines.classic.trial import Candidate


def candidates() -> tuple[Candidate, ...]:
    """All that ``classic`` tries. Costs in microseconds of one core, measured on windows of 500x160 pixels."""
    return tuple(_FILLS.values())


_FILLS = {
    "surface": Candidate("surface", smooth.surface, lambda pixels, missing: 2000.0 + 0.02 * pixels),
    "local-surface": Candidate(
        "local-surface", lambda image, unknown: smooth.local_surface(image, unknown, 3.0),
        lambda pixels, missing: 0.17 * pixels,
    ),
    "wide-surface": Candidate(
        "wide-surface", lambda image, unknown: smooth.local_surface(image, unknown, 10.0),
        lambda pixels, missing: 0.17 * pixels,
    ),
    "biharmonic": Candidate(
        "biharmonic", smooth.biharmonic, lambda pixels, missing: 2000.0 + 0.02 * missing**1.5, local=True
    ),
    "pattern": Candidate("pattern", pattern, lambda pixels, missing: 0.25 * pixels, smooth=False),
}  # fmt: skip
_UNTRIED = {
    "navier-stokes": Candidate("navier-stokes", smooth.navier_stokes, lambda pixels, missing: 1.0 * missing),
    "telea": Candidate("telea", smooth.telea, lambda pixels, missing: 1.0 * missing),
}
"""Can be named, but hardly ever won a trial on pairs with a known truth: not worth their time there."""

SURFACE = _FILLS["surface"]
FALLBACK = _UNTRIED["navier-stokes"]
"""Taken where nothing is known beside the mask to try on."""


def named(name: str) -> Candidate:
    return (_FILLS | _UNTRIED)[name]
