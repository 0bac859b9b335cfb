"""What a process says of itself for ``health``: versions, device, memory. Cheap enough for every heartbeat."""

import functools
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_PACKAGES = ("ray", "torch", "iopaint", "numpy", "opencv-contrib-python-headless", "pillow")


@functools.cache
def versions() -> dict[str, str]:
    """Of Python and of the packages that do the work."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def memory(device: str) -> dict[str, int]:
    """Bytes: resident memory of this process, and with ``cuda`` what torch holds of the GPU, and its size."""
    found = {"resident_bytes": _resident_bytes()}
    if _usable_gpu(device):
        import torch

        found["gpu_held_bytes"] = torch.cuda.memory_reserved()
        found["gpu_free_bytes"], found["gpu_total_bytes"] = torch.cuda.mem_get_info()
    return found


@functools.cache
def device_name(device: str) -> str:
    """The hardware's own name."""
    if _usable_gpu(device):
        import torch

        return torch.cuda.get_device_name()
    return platform.processor() or platform.machine()


def _usable_gpu(device: str) -> bool:
    """What is configured may not be there; a heartbeat that fails over it would leave the reason unsaid."""
    if not device.startswith("cuda"):
        return False
    import torch

    return torch.cuda.is_available()


def without_secrets(url: str) -> str:
    """A storage URL as it may be shown: without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}" if parts.scheme else url


def process(device: str) -> dict[str, Any]:
    return {"device_name": device_name(device), "memory": memory(device), "versions": versions()}


def _resident_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.is_file():  # not Linux
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
