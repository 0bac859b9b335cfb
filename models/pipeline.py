"""One job from bytes to bytes: decode, mask, plan, run, blend, encode. Reports units as they end; stops when told."""

import functools
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import cv2
import numpy as np

from models import blending, codec
from models.costs import costs_of
from models.crops import plan
from models.engine import Filling, GroupingEngine, Image, InpaintEngine, Mask, ShouldStop
from models.errors import WorkCancelled
from models.geometry import Box
from models.job import DiffusionOptions, FillReport, InpaintJob, JobResult, JobStats
from models.masks import region_covers, regions_to_mask
from models.regions import RegionMasks
from models.windows import Plan, Window


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """``stage``: preparing, masking, inpainting or finalizing. Units are those of the stage."""

    stage: str
    units_done: int
    units_total: int
    regions_done: int = 0
    regions_total: int = 0
    """Told once, by ``masking``."""


OnProgress = Callable[[ProgressEvent], None]


def process(
    job: InpaintJob,
    image: bytes,
    mask: bytes | None,
    engine: InpaintEngine,
    *,
    max_pixels: int,
    max_window_px: int,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> JobResult:
    """Do a whole job. ``max_window_px`` bounds the longest side of one pass of the engine.

    Raises any of ``models.errors``; ``WorkCancelled`` within one unit after ``should_stop`` turned true.
    """
    clock = _Clock()
    job = _seeded(job, image)
    with clock.stage("decode"):
        decoded = codec.decode(image, max_pixels=max_pixels)
    _checkpoint(should_stop)
    on_progress(ProgressEvent("preparing", 1, 1))
    height, width = decoded.rgb.shape[:2]
    with clock.stage("mask"):
        covers = region_covers(job.regions, width, height) if job.regions is not None else []
        masks = RegionMasks(decoded.rgb, covers, job.masking, decoded.colour_blocks)
        array, boxes = masks.mask(), masks.boxes
        image_to_fill = masks.unstained(_kept(job, width, height))
        if job.regions is None:
            array = codec.decode_mask(mask or b"", width=width, height=height, max_pixels=max_pixels)
        planned = plan(array, job.hd, max_window_px, costs_of(engine.info))
    _checkpoint(should_stop)
    on_progress(ProgressEvent("masking", 1, 1, regions_total=len(boxes)))
    meter = UnitMeter(on_progress)
    with clock.stage("inpaint"):
        filled = inpaint_array(image_to_fill, array, planned, boxes, job.diffusion, engine, meter, should_stop)
        filled, array = _until_erased(filled, array, masks, job, max_window_px, engine, meter, should_stop)
        picture = masks.finished(filled.image)
    _checkpoint(should_stop)
    with clock.stage("encode"):
        data, media_type, notes = _encoded(picture, decoded, job, masks.marked(array))
    on_progress(ProgressEvent("finalizing", 1, 1, len(boxes)))
    return JobResult(
        data,
        JobStats(
            media_type=media_type,
            width=width,
            height=height,
            regions_processed=len(boxes),
            total_area=int(np.count_nonzero(array)),
            processing_time_s=round(clock.total_s(), 4),
            model=engine.info.name,
            hd_strategy=planned.strategy.value,
            notes=tuple(dict.fromkeys(decoded.notes + planned.notes + engine.info.notes + filled.notes + notes)),
            stage_times_s=clock.times_s,
            fills=filled.fills,
            regions=masks.reports(engine.info.name, filled.fills),
            seed=job.diffusion.seed if engine.info.seeded else None,
        ),
    )


def _seeded(job: InpaintJob, image: bytes) -> InpaintJob:
    """A seed from the picture where any will do: the same request gives the same pixels."""
    if job.diffusion.seed >= 0:
        return job
    return replace(job, diffusion=replace(job.diffusion, seed=zlib.crc32(image)))


def _kept(job: InpaintJob, width: int, height: int) -> Mask | None:
    """What has to stay of a picture whose text was found, not pointed at. None: all but the regions."""
    return None if job.find_text is None else regions_to_mask(job.find_text.exclude, width, height, "exclude")


def _encoded(
    picture: Image, source: codec.DecodedImage, job: InpaintJob, mask: Mask
) -> tuple[bytes, str, tuple[str, ...]]:
    if job.output.kind == "image":
        return codec.encode(picture, source, job.output, mask)
    return codec.encode(_shown(job.output.kind, source.rgb, mask), source, job.output)


def _until_erased(
    filled: Filling,
    mask: Mask,
    masks: RegionMasks,
    job: InpaintJob,
    max_window_px: int,
    engine: InpaintEngine,
    meter: "UnitMeter",
    should_stop: ShouldStop,
) -> tuple[Filling, Mask]:
    """Passes with wider masks where text is still seen: what was filled, and all that was masked."""
    while (wider := masks.judge(filled.image, filled.fills)) is not None:
        planned = plan(wider, job.hd, max_window_px, costs_of(engine.info))
        more = inpaint_array(filled.image, wider, planned, [], job.diffusion, engine, meter, should_stop)
        filled, mask = Filling(more.image, filled.fills + more.fills, filled.notes), mask | wider
    return filled, mask


class UnitMeter:
    """Units of work done and to do, over all windows of all passes of a job.

    A pass over what is still seen adds to what there is to do: its units are not known before.
    """

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._done = self._total = self._regions_done = 0

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

    def _tell(self, done: int) -> None:
        self._on_progress(ProgressEvent("inpainting", done, self._total, self._regions_done))


def inpaint_array(
    image: Image,
    mask: Mask,
    planned: Plan,
    regions: list[Box],
    options: DiffusionOptions,
    engine: InpaintEngine,
    meter: UnitMeter,
    should_stop: ShouldStop,
) -> Filling:
    """Run the plan's windows. Every pixel outside the mask stays as it is in ``image``, which is not changed."""
    canvas, fills, notes = image.copy(), list[FillReport](), dict[str, None]()
    groups = _groups(planned, engine)
    windows = tuple(window for group in groups for window in group)
    units = [max(1, engine.units(mask[window.box.slices], options)) for window in windows]
    meter.announce(sum(units))
    tiled, done = _is_tiled(planned), 0
    for group in groups:
        _checkpoint(should_stop)
        if isinstance(engine, GroupingEngine) and len(group) > 1:
            fillings = engine.run_group([_cut(image, mask, window) for window in group], options, should_stop)
        else:
            on_step = functools.partial(meter.within, units[done])
            source, hole = (canvas, _left_of(mask, windows[:done], group[0])) if tiled else (image, mask)
            fillings = [_run(source, hole, group[0], planned.scale_to, options, engine, on_step, should_stop)]
        for window, filling in zip(group, fillings, strict=True):
            blending.paste(canvas, filling.image, mask, window)
            notes |= dict.fromkeys(filling.notes)
            fills += [replace(fill, box=fill.box.moved(window.box.left, window.box.top)) for fill in filling.fills]
            done += 1
            meter.finish(units[done - 1], _regions_done(regions, windows[done:]))
    return Filling(canvas, tuple(fills), tuple(notes))


def _groups(planned: Plan, engine: InpaintEngine) -> list[list[Window]]:
    """Windows of one shape that the engine wants at once; each alone where one builds on another's pixels."""
    if not isinstance(engine, GroupingEngine) or _is_tiled(planned) or planned.scale_to is not None:
        return [[window] for window in planned.windows]
    groups, growing = list[list[Window]](), dict[tuple[int, int], list[Window]]()
    for window in planned.windows:
        shape = window.box.height, window.box.width
        if shape not in growing or len(growing[shape]) >= engine.group_size(*shape):
            growing[shape] = []
            groups.append(growing[shape])
        growing[shape].append(window)
    return groups


def _is_tiled(planned: Plan) -> bool:
    return any(any(window.ramp_px) for window in planned.windows)


def _left_of(mask: Mask, done: tuple[Window, ...], window: Window) -> Mask:
    """What a tile takes as masked: its own core, and beside it only what no tile before has filled."""
    left = mask.copy()
    for core in (other.core for other in done):
        left[core.top : core.bottom, core.left : core.right] = 0
    own = (slice(window.core.top, window.core.bottom), slice(window.core.left, window.core.right))
    left[own] = mask[own]
    return left


def _shown(kind: str, before: Image, mask: Mask) -> Image:
    if kind == "mask":
        return np.repeat(mask[:, :, np.newaxis], 3, axis=2)
    red = np.array([255, 0, 0], np.uint16)
    return np.where(mask[:, :, np.newaxis] > 127, (before + red) // 2, before).astype(np.uint8)


def _run(
    image: Image,
    mask: Mask,
    window: Window,
    scale_to: int | None,
    options: DiffusionOptions,
    engine: InpaintEngine,
    on_step: Callable[[int, int], None],
    should_stop: ShouldStop,
) -> Filling:
    box = window.box
    crop, hole = _cut(image, mask, window)
    if scale_to is None:
        return engine.run(crop, hole, options, on_step, should_stop)
    small, small_hole = _shrink(crop, scale_to), _shrink(hole, scale_to)
    filled = engine.run(small, small_hole, options, on_step, should_stop)
    # As IOPaint does: blended by the shrunk (soft) mask in floats, then enlarged.
    weight = small_hole[:, :, np.newaxis] / 255
    blended = filled.image * weight + small * (1 - weight)
    enlarged = cv2.resize(blended, (box.width, box.height), interpolation=cv2.INTER_CUBIC)
    return Filling(np.clip(enlarged, 0, 255).astype(np.uint8))


def _cut(image: Image, mask: Mask, window: Window) -> tuple[Image, Mask]:
    return np.ascontiguousarray(image[window.box.slices]), np.ascontiguousarray(mask[window.box.slices])


def _shrink(array: Image, longest: int) -> Image:
    height, width = array.shape[:2]
    ratio = longest / max(height, width)
    size = (int(width * ratio + 0.5), int(height * ratio + 0.5))
    return cv2.resize(array, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)


def _regions_done(regions: list[Box], left: tuple[Window, ...]) -> int:
    """Regions that no window still to come will touch."""
    return sum(not any(region.overlaps(window.core) for window in left) for region in regions)


def _checkpoint(should_stop: ShouldStop) -> None:
    if should_stop():
        raise WorkCancelled("Cancelled between two units.")


class _Clock:
    def __init__(self) -> None:
        self.times_s: dict[str, float] = {}
        self._start = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.times_s[name] = round(time.perf_counter() - start, 4)

    def total_s(self) -> float:
        return time.perf_counter() - self._start
