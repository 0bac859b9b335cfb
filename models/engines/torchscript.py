"""TorchScript files, read as IOPaint reads them, but without importing it: that takes ten seconds."""

from pathlib import Path
from typing import NoReturn

import torch

from models.engines.placing import is_about_the_device
from models.errors import ModelUnavailable
from models.weights import BadWeights


def without_profiling() -> None:
    """As iopaint/api.py does: the profiling executor makes the second run of every new shape slow."""
    torch._C._jit_set_profiling_executor(False)
    torch._C._jit_set_profiling_mode(False)


def read_script(name: str, path: Path, device: torch.device) -> torch.jit.ScriptModule:
    """On that device. Raises ``BadWeights`` for a file that is none, ``ModelUnavailable`` where it does not fit."""
    without_profiling()
    try:
        script: torch.jit.ScriptModule = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        return script.to(device).eval()
    except (RuntimeError, ValueError, LookupError, TypeError, EOFError, OSError, MemoryError) as error:
        refuse(name, path, error)


def refuse(name: str, path: Path, error: Exception) -> NoReturn:
    """Raise what a file that did not load means."""
    if is_about_the_device(error):
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelUnavailable(f"{name} does not fit on its device: {why}") from error
    raise BadWeights(path) from error
