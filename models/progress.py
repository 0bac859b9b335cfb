"""What a job tells of its progress: units of work that have ended."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """``stage``: preparing, masking, inpainting or finalizing. Units are those of the stage."""

    stage: str
    units_done: int
    units_total: int
    regions_done: int = 0
    regions_total: int = 0
    """Told by ``masking``."""


OnProgress = Callable[[ProgressEvent], None]


class UnitMeter:
    """Tells of what a job has done: of regions, and of units of work, over all windows of all passes.

    A pass over what is still seen adds to what there is to do: its units are not known before.
    """

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._done = self._total = self._regions_done = self._judged = 0

    def found(self, done: int, regions: int) -> None:
        """So many regions' strokes were looked for; one unit more is all that comes after: traces, and the plan."""
        self._on_progress(ProgressEvent("masking", done, regions + 1, regions_total=regions))

    def announce(self, units: int) -> None:
        self._total += units
        self._tell(self._done)

    def within(self, units: int, done: int, total: int) -> None:
        """An engine is at ``done`` of ``total`` in a window for which so many units were announced."""
        # The window's last unit is told once its pixels are pasted.
        if (reached := units * done // max(1, total)) < units:
            self._tell(self._done + reached)

    def finish(self, units: int, regions_done: int) -> None:
        """All units of a window."""
        self._done += units
        self._regions_done = max(self._regions_done, regions_done)
        self._tell(self._done)

    def judged(self, done: int, total: int) -> None:
        """So many regions were looked at after a pass. Where text is left, another pass begins."""
        self._judged = total
        self._on_progress(ProgressEvent("finalizing", done, total + 1, self._regions_done))

    def end(self, regions: int) -> None:
        """The picture is encoded."""
        self._on_progress(ProgressEvent("finalizing", self._judged + 1, self._judged + 1, regions))

    def _tell(self, done: int) -> None:
        self._on_progress(ProgressEvent("inpainting", done, self._total, self._regions_done))
