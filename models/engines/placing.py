"""On which device a model of IOPaint really runs."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Place:
    """``notes``: sentences, where it is not the device that was asked for."""

    device: str
    notes: tuple[str, ...] = ()


def place(name: str, device: str) -> Place:
    """IOPaint keeps a list of the models that cannot run on Apple's mps."""
    if device != "mps":
        return Place(device)
    from iopaint.helper import switch_mps_device

    if str(switch_mps_device(name, torch.device(device))) != device:
        return Place("cpu", (f"IOPaint runs {name} on the CPU instead of mps.",))
    if not torch.backends.mps.is_available():
        return Place("cpu", (f"{name} runs on the CPU, because this machine has no mps.",))
    return Place(device)


def is_about_the_device(error: Exception) -> bool:
    """Whether a model did not load for want of a device or of memory, which is no fault of its file."""
    words = ("cuda", "nvidia", "mps", "out of memory", "can't allocate", "bad alloc")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in str(error).lower() for word in words)
