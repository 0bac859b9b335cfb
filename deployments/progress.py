"""Units of work become percent and an estimate. Pure arithmetic; nothing is guessed ahead of a finished unit."""

import time
from dataclasses import dataclass

from deployments.tasks import Stage
from models.progress import ProgressEvent

_SPANS: dict[Stage, tuple[float, float]] = {
    Stage.PREPARING: (0.0, 5.0),
    Stage.MASKING: (5.0, 15.0),
    Stage.INPAINTING: (15.0, 90.0),
    Stage.FINALIZING: (90.0, 100.0),
}


@dataclass(frozen=True, slots=True)
class UnitProgress:
    """What a replica has finished: within ``stage``, and of the inpainting units of the whole task."""

    stage: Stage = Stage.PREPARING
    stage_done: int = 0
    stage_total: int = 1
    units_done: int = 0
    units_total: int = 0
    regions_done: int = 0
    regions_total: int = 0
    """0: not known yet, or a mask."""
    at: float = 0.0
    """Epoch seconds at which the replica had finished so much; 0: not known."""

    def after(self, event: ProgressEvent) -> "UnitProgress":
        """With what a replica's pipeline has just told."""
        stage = Stage(event.stage)
        inpainting = stage is Stage.INPAINTING
        return UnitProgress(
            stage=stage,
            stage_done=event.units_done,
            stage_total=event.units_total,
            units_done=event.units_done if inpainting else self.units_done,
            units_total=event.units_total if inpainting else self.units_total,
            regions_done=event.regions_done,
            regions_total=event.regions_total or self.regions_total,
            at=time.time(),
        )

    @property
    def stage_percent(self) -> float:
        return 100.0 * min(1.0, self.stage_done / self.stage_total) if self.stage_total else 100.0

    @property
    def overall_percent(self) -> float:
        """0 to 100. 100 itself is only for a completed task, so this stops just short of it."""
        low, high = _SPANS[self.stage]
        return round(min(99.9, low + (high - low) * self.stage_percent / 100.0), 2)


def remaining_s(progress: UnitProgress, elapsed_s: float) -> float | None:
    """Seconds left, from the measured pace of this task's own units; None before the first one."""
    if not progress.units_done or not progress.units_total:
        return None
    left = progress.units_total - progress.units_done
    return round(elapsed_s / progress.units_done * left, 3)
