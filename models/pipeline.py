"""One job from bytes to bytes: decode, mask, plan, run, blend, encode. Reports units as they end; stops when told."""

import bisect
import functools
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np

from models import blending, codec
from models.costs import costs_of
from models.crops import plan
from models.engine import Checkpoint, Filling, GroupingEngine, Image, InpaintEngine, Mask, ShouldStop
from models.errors import WorkCancelled
from models.geometry import Box, strips
from models.job import DiffusionOptions, FillReport, InpaintJob, JobResult, JobStats
from models.masks import region_covers, touched_of
from models.progress import OnProgress, ProgressEvent, UnitMeter
from models.regions import Bools, RegionMasks
from models.transparency import Transparency
from models.windows import Plan, Window


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
    clock, meter, job = _Clock(), UnitMeter(on_progress), _seeded(job, image)
    with clock.stage("decode"):
        decoded = codec.decode(image, max_pixels=max_pixels)
    _checkpoint(should_stop)
    on_progress(ProgressEvent("preparing", 1, 1))
    (height, width), blocks = decoded.rgb.shape[:2], decoded.colour_blocks
    with clock.stage("mask"):
        checkpoint = functools.partial(_checkpoint, should_stop)
        covers = region_covers(job.regions, width, height, checkpoint) if job.regions is not None else []
        layers = Transparency(decoded, covers, checkpoint)
        masks = RegionMasks(layers.shown(decoded.rgb), covers, job.masking, blocks, meter.found, checkpoint)
        array, hole, boxes = masks.mask(), masks.hole(), masks.boxes
        if job.regions is None:
            array = hole = codec.decode_mask(mask or b"", width=width, height=height, max_pixels=max_pixels)
        known = layers.known(masks.unstained(_kept(job, width, height, checkpoint)), hole)
        planned = plan(hole, job.hd, max_window_px, costs_of(engine.info))
    _checkpoint(should_stop)
    meter.found(len(boxes) + 1, len(boxes))
    with clock.stage("inpaint"):
        filled = inpaint_array(known, hole, planned, boxes, job.diffusion, engine, meter, should_stop)
        filled, array = _until_erased(filled, array, masks, layers, job, max_window_px, engine, meter, should_stop)
        picture, source = layers.finished(filled.image, array, masks.finished)
    _checkpoint(should_stop)
    with clock.stage("encode"):
        data, media_type, notes = _encoded(picture, source, decoded, job, masks.marked(array))
    meter.end(len(boxes))
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
            regions=masks.reports(engine.info.name),
            seed=job.diffusion.seed if engine.info.seeded else None,
        ),
    )


def _seeded(job: InpaintJob, image: bytes) -> InpaintJob:
    """A seed from the picture where any will do: the same request gives the same pixels."""
    if job.diffusion.seed >= 0:
        return job
    return replace(job, diffusion=replace(job.diffusion, seed=zlib.crc32(image)))


def _kept(job: InpaintJob, width: int, height: int, checkpoint: Checkpoint) -> Callable[[], Bools] | None:
    """Draws what has to stay of a picture whose text was found, not pointed at. None: all but the regions."""
    if job.find_text is None:
        return None
    return functools.partial(touched_of, Box(0, 0, width, height), job.find_text.exclude, checkpoint)


def _encoded(
    picture: Image, source: codec.DecodedImage, before: codec.DecodedImage, job: InpaintJob, mask: Mask
) -> tuple[bytes, str, tuple[str, ...]]:
    if job.output.kind == "image":
        return codec.encode(picture, source, job.output, mask)
    # What is masked is seen, on transparent ground as well.
    alpha = None if before.alpha is None or job.output.kind == "mask" else np.maximum(before.alpha, mask)
    return codec.encode(_shown(job.output.kind, before.rgb, mask), replace(before, alpha=alpha), job.output)


def _until_erased(
    filled: Filling,
    mask: Mask,
    masks: RegionMasks,
    layers: Transparency,
    job: InpaintJob,
    max_window_px: int,
    engine: InpaintEngine,
    meter: UnitMeter,
    should_stop: ShouldStop,
) -> tuple[Filling, Mask]:
    """Passes with wider masks where text is still seen: what was filled, and all that was masked."""
    more = filled
    while (wider := masks.judge(layers.shown(more.image, mask), more.fills, meter.judged)) is not None:
        planned = plan(wider, job.hd, max_window_px, costs_of(engine.info))
        more = inpaint_array(more.image, wider, planned, [], job.diffusion, engine, meter, should_stop)
        notes = filled.notes + planned.notes + more.notes
        filled, mask = Filling(more.image, filled.fills + more.fills, notes), mask | wider
    return filled, mask


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
    units = []
    for window in windows:
        _checkpoint(should_stop)
        units.append(max(1, engine.units(mask[window.box.slices], options)))
    meter.announce(sum(units))
    tiled, ends, done = _is_tiled(planned), _region_ends(regions, windows), 0
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
            meter.finish(units[done - 1], bisect.bisect_right(ends, done))
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
    shown, red = before.copy(), np.array([255, 0, 0], np.uint16)
    for rows in strips(len(mask)):
        np.copyto(shown[rows], (before[rows] + red) // 2, where=mask[rows, :, np.newaxis] > 127, casting="unsafe")
    return shown


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
    enlarged, blended, large = np.empty_like(crop), np.empty(small_hole.shape), np.empty(hole.shape)
    for channel in range(3):  # one by one: all three in float64 are eight times the picture
        for rows in strips(len(small)):
            weight = small_hole[rows] / 255
            blended[rows] = filled.image[rows, :, channel] * weight + small[rows, :, channel] * (1 - weight)
        cv2.resize(blended, (box.width, box.height), dst=large, interpolation=cv2.INTER_CUBIC)
        enlarged[:, :, channel] = np.clip(large, 0, 255, out=large)
    across, down = box.width / small.shape[1], box.height / small.shape[0]
    fills = (replace(fill, box=fill.box.scaled(across, down).clip(box.width, box.height)) for fill in filled.fills)
    return Filling(enlarged, tuple(fills), filled.notes)


def _cut(image: Image, mask: Mask, window: Window) -> tuple[Image, Mask]:
    return np.ascontiguousarray(image[window.box.slices]), np.ascontiguousarray(mask[window.box.slices])


def _shrink(array: Image, longest: int) -> Image:
    height, width = array.shape[:2]
    ratio = longest / max(height, width)
    size = (max(1, int(width * ratio + 0.5)), max(1, int(height * ratio + 0.5)))
    return cv2.resize(array, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)


def _region_ends(regions: list[Box], windows: tuple[Window, ...]) -> list[int]:
    """Of each region, how many windows have been run when none is left that touches it; rising."""
    last_first = [(number, window.core) for number, window in enumerate(windows, start=1)][::-1]
    return sorted(next((number for number, core in last_first if region.overlaps(core)), 0) for region in regions)


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
