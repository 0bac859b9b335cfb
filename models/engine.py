"""The interface that every engine keeps: RGB in, RGB out, no wire types, no Ray, no files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.job import DiffusionOptions, FillReport
from models.windows import WindowSizes

Image = NDArray[np.uint8]
"""RGB, shape ``(H, W, 3)``, uint8."""
Mask = NDArray[np.uint8]
"""Shape ``(H, W)``, uint8, exactly 0 or 255; 255 = remove."""
OnStep = Callable[[int, int], None]
"""``on_step(done, total)``: called after each unit of work, ``done`` rising to ``total``."""
ShouldStop = Callable[[], bool]
"""Asked between units; True ends the work with ``WorkCancelled``."""
Checkpoint = Callable[[], None]
"""Called between two units of work; raises ``WorkCancelled`` where it shall end."""
Precision = Literal["auto", "float32", "bfloat16"]
"""Of LaMa's convolutions; auto: bfloat16 where the hardware is fast at it."""


def unstopped() -> None:
    """A ``Checkpoint`` of work that nobody ends."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is, for ``GET /model`` and the response headers."""

    name: str
    device: str
    weights_sha256: str | None = None
    notes: tuple[str, ...] = ()
    """Sentences about what is not as configured, e.g. a model that had to move from mps to the CPU."""
    precision: str | None = None
    """Of its arithmetic, such as bfloat16; None where it makes no difference."""
    seeded: bool = False
    """Whether the seed decides the pixels."""
    sizes: WindowSizes = field(default_factory=WindowSizes)
    """Of the windows that it takes as they are."""
    network: str | None = None
    """Whose passes it makes, where they are another's: they need that one's memory."""


@dataclass(frozen=True, slots=True)
class Filling:
    """A window with its masked pixels filled; pixels outside the mask may differ from the input."""

    image: Image
    fills: tuple[FillReport, ...] = ()
    """Of engines that choose among several; boxes in pixels of the window."""
    notes: tuple[str, ...] = ()
    """Sentences: where less or other than asked was done."""


class InpaintEngine(Protocol):
    """One loaded model. ``run`` is called by one thread at a time."""

    @property
    def info(self) -> EngineInfo: ...

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        """Units of work that one ``run`` over a window with this mask will report: 1 for a single forward pass."""
        ...

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        """Fill the masked pixels of one window. The caller pastes under the mask only.

        Raises ``WorkCancelled`` when ``should_stop`` turned true between two units.
        """
        ...

    def close(self) -> None:
        """Free memory; the engine is not used again."""
        ...


@runtime_checkable
class BatchingEngine(InpaintEngine, Protocol):
    """One that can fill windows of several requests in one pass. It works in one step, and takes no options."""

    def max_batch(self, height: int, width: int) -> int:
        """Windows of this size to run together at most, with the memory that is free now; 1 where nothing is gained."""
        ...

    def run_batch(self, windows: Sequence[tuple[Image, Mask]]) -> list[Filling]:
        """As ``run`` of each, which have one shape. Raises ``RuntimeError``, e.g. when memory does not suffice."""
        ...


@runtime_checkable
class GroupingEngine(InpaintEngine, Protocol):
    """One that is better given several windows of a request at once; what it makes of them is its affair."""

    def group_size(self, height: int, width: int) -> int:
        """Windows of this size to give at a time, at most."""
        ...

    def run_group(
        self, windows: Sequence[tuple[Image, Mask]], options: DiffusionOptions, should_stop: ShouldStop
    ) -> list[Filling]:
        """As ``run`` of each, which have one shape, in one step each."""
        ...
