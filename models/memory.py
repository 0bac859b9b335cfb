"""How much memory there is, how much an engine holds, and how much work will need."""

import ctypes
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from models.codec import ImageHeader
from models.geometry import Box, Polygon, Region
from models.job import HDStrategy, InpaintJob, MaskMode

_CGROUP = Path("/sys/fs/cgroup")
_MAX_DEPTH = 12
"""How deep tensors lie in an engine, at most."""

JOB_BYTES_PER_PX = 32
"""Of an image while a job has it: decoded, converted, filled and encoded, with the copies in between. An estimate
that errs on the large side, as all of these do (``tests/unit/models/test_job_memory.py``)."""
_ALPHA_BYTES_PER_PX, _DEEP_BYTES_PER_CHANNEL = 24, 8
"""More of one that may be transparent in places, and of each channel of 16 bits."""
_RESIZE_BYTES_PER_PX, _LOSSLESS_WEBP_BYTES_PER_PX = 24, 20

_REGION_BYTES_PER_PX = 8
"""Of each region while a job has it: what it covers, how likely each pixel is a stroke, what is found, and what is
replaced; and a copy in between.
"""
_SEARCH_BYTES_PER_PX, _SEARCHED_AROUND_PX = 76, 28
"""Of the largest region and its surroundings while its strokes are looked for: one region after the other."""
_GRID_BYTES = 16_000_000
"""While it is looked whether the picture was a JPEG, in so many pixels at most."""
_NETWORK_BYTES_PER_PX, _NETWORK_MOST_PX = 180, 640**2
"""Of that region, in tiles that are no larger, while the network looks for strokes."""

_WORKING_BYTES_PER_PX = {
    "lama": 1400, "anime-lama": 1400, "auto": 1400, "ldm": 2600, "zits": 3200, "mat": 4900, "fcf": 3500, "manga": 2400,
    "migan": 1200, "cv2": 40,
}  # fmt: skip
"""Of one pass over a window beside the weights: the most that ``scripts/benchmark passes`` saw. Of ldm, zits, manga and
migan, of which no class is published, upper estimates of what their widest layers hold.
"""
_SOLVING = frozenset({"auto", "classic", "biharmonic"})
_SOLVER_BYTES_PER_PX, _MOST_SOLVED_PX = 4000, 215_000
"""Of a hole by ``biharmonic``, on which they may settle; larger ones are left to other fills for the time they take."""
_DIFFUSION_BYTES_PER_PX = 4500
_WEIGHTLESS_BYTES_PER_PX = 200


def working_bytes(model: str, pixels: int) -> int:
    """What one pass of an engine over a window of so many pixels needs."""
    if "/" in model:
        return pixels * _DIFFUSION_BYTES_PER_PX
    return pixels * _WORKING_BYTES_PER_PX.get(model, _WEIGHTLESS_BYTES_PER_PX)


def solver_bytes(model: str, masked: int) -> int:
    """What the weightless fills of an engine need for a window with so many masked pixels."""
    return _SOLVER_BYTES_PER_PX * min(masked, _MOST_SOLVED_PX) if model in _SOLVING else 0


def picture_bytes(job: InpaintJob, header: ImageHeader) -> int:
    """What a job needs for its image, by what the header tells of it. Its regions are counted apart."""
    per_px = JOB_BYTES_PER_PX
    if header.channels in (2, 4):
        per_px += _ALPHA_BYTES_PER_PX
    if header.bits == 16:
        per_px += _DEEP_BYTES_PER_CHANNEL * header.channels
    if job.hd.strategy is HDStrategy.RESIZE:
        per_px += _RESIZE_BYTES_PER_PX
    if job.output.format == "webp" and job.output.quality == 100:
        per_px += _LOSSLESS_WEBP_BYTES_PER_PX
    return header.width * header.height * per_px


def regions_bytes(job: InpaintJob, width: int, height: int) -> int:
    """What a job's regions need beside the image of that size. Rectangles that are replaced whole need nothing."""
    regions: Sequence[Region] = job.regions or ()
    searched = job.masking.mode is not MaskMode.BOX
    if not searched:
        regions = [region for region in regions if isinstance(region, Polygon)]
    covers = [region.cover().clip(width, height) for region in regions]
    held = _REGION_BYTES_PER_PX * sum(cover.area for cover in covers)
    return held + (max((_search_bytes(cover, width, height) for cover in covers), default=0) if searched else 0)


def _search_bytes(cover: Box, width: int, height: int) -> int:
    around = cover.grown(_SEARCHED_AROUND_PX).clip(width, height).area
    return _GRID_BYTES + _SEARCH_BYTES_PER_PX * around + _NETWORK_BYTES_PER_PX * min(around, _NETWORK_MOST_PX)


def limit_bytes() -> int:
    """Of this machine or, where that is less, of the container."""
    limits = [_meminfo("MemTotal")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limits += _number(_CGROUP / name)
    return min(limits)


def available_bytes() -> int:
    """What can be had now, caches given back: of the machine and of the container."""
    available = [_meminfo("MemAvailable")]
    limit, used = _number(_CGROUP / "memory.max"), _number(_CGROUP / "memory.current")
    if limit and used:
        cached = sum(_stat("inactive_file", "active_file"))
        available.append(max(0, limit[0] - used[0] + cached))
    return min(available)


def device_limit_bytes(device: str) -> int:
    """Of the GPU's memory, or the machine's."""
    if device == "cuda":
        import torch

        if torch.cuda.is_available():
            return int(torch.cuda.mem_get_info()[1])
    return limit_bytes()


def held_bytes(engine: object) -> int:
    """Of all tensors that can be reached from an engine's attributes; each counted once."""
    import torch

    seen, tensors = set[int](), dict[int, int]()

    def visit(value: Any, depth: int) -> None:
        if depth > _MAX_DEPTH or id(value) in seen or isinstance(value, str | bytes | int | float | type):
            return
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            if value.layout is torch.strided and value.device.type != "meta":
                storage = value.untyped_storage()
                tensors[storage.data_ptr()] = storage.nbytes()
            elif value.layout is not torch.strided:  # packed for a processor; it has no storage to ask
                tensors[id(value)] = value.numel() * value.element_size()
            return
        if isinstance(value, torch.nn.Module):
            for tensor in (*value.parameters(), *value.buffers()):
                visit(tensor, depth + 1)
        for inner in _inside(value):
            visit(inner, depth + 1)

    visit(engine, 0)
    return sum(tensors.values())


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    slots = [getattr(value, name, None) for name in getattr(type(value), "__slots__", ())]
    return [*slots, *getattr(value, "__dict__", {}).values()]


def trim() -> None:
    """Give freed memory back to the system: glibc keeps it for later otherwise, a different piece in each thread."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)


def in_words(count: int) -> str:
    """Bytes for people: ``1.9 GB``, ``120 MB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def _meminfo(name: str) -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return sys.maxsize  # not Linux: the machine decides
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), sys.maxsize)


def _number(path: Path) -> list[int]:
    """Nothing where there is no such file, or no limit in it."""
    try:
        return [int(path.read_text())]
    except (OSError, ValueError):
        return []


def _stat(*names: str) -> list[int]:
    try:
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) for line in lines if line.split()[0] in names]
