"""Names to engines: one table, everything heavy imported only when it is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.engine import InpaintEngine
from models.engines.classic.names import FILLS
from models.errors import ModelUnavailable, UnknownModel
from models.weights import WeightsFile, WeightsStore

CLASSIC = ("classic", *FILLS)
WEIGHTLESS = ("cv2", "fake", *CLASSIC)
AUTO = "auto"
"""``classic`` and a network; works without the network's weights, too, and says so."""
AUTO_NETWORK = "lama"
"""Of ``auto`` where it is itself the default model."""
LAMA = ("lama", "anime-lama")
WITH_WEIGHTS = ("lama", "anime-lama", "ldm", "zits", "mat", "fcf", "manga", "migan")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """``device``: cpu, cuda or mps. ``fake_unit_s``: seconds per unit of the ``fake`` engine."""

    device: str
    model_dir: str | None = None
    fake_unit_s: float = 0.05
    threads: int = 0
    """CPU threads of one forward pass; 0: the cores that this process may use."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of LaMa's convolutions; auto: bfloat16 where the hardware is fast at it."""


def known_models() -> tuple[str, ...]:
    return (*WITH_WEIGHTS, AUTO, *WEIGHTLESS)


def needed_files(name: str) -> tuple[WeightsFile, ...]:
    """The weights files that a model needs; none for the weightless. Imports IOPaint's module of the model."""
    if name == AUTO:
        return needed_files(AUTO_NETWORK)
    if name not in WITH_WEIGHTS:
        return ()
    from models.engines.iopaint import files

    return tuple(files(name).values())


def load_engine(name: str, config: EngineConfig) -> InpaintEngine:
    """Blocking; may download. Raises ``UnknownModel``, ``ModelUnavailable``."""
    if name == "cv2":
        from models.engines.opencv import OpenCVEngine

        return OpenCVEngine()
    if name in CLASSIC:
        from models.engines.classic.engine import ClassicEngine, single

        return ClassicEngine() if name == "classic" else single(name)
    if name == AUTO:
        return _load_auto(config)
    if name == "fake":
        from models.engines.fake import FakeEngine

        return FakeEngine(config.fake_unit_s)
    if name in WITH_WEIGHTS:
        _require_device(name, config.device)
    store = WeightsStore(Path(config.model_dir) if config.model_dir else None)
    if name in LAMA:
        from models.engines.lama.engine import load as load_lama

        return load_lama(name, config.device, store, config.threads, config.precision)
    if name in WITH_WEIGHTS:
        from models import cpu
        from models.engines.iopaint import load

        cpu.prepare(config.threads)
        return load(name, config.device, store)
    raise UnknownModel(f"The model {name} is unknown. Known are: {', '.join(known_models())}.", field="model")


def _require_device(name: str, device: str) -> None:
    """Before a file is opened: a model that cannot go to the device must not make its weights look broken."""
    if device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        built = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
        raise ModelUnavailable(f"{name} is to run on cuda, but no GPU can be used here (torch {built}).")


def _load_auto(config: EngineConfig) -> InpaintEngine:
    from models.engines.auto import AutoEngine

    try:
        return AutoEngine(load_engine(AUTO_NETWORK, config))
    except ModelUnavailable as error:
        return AutoEngine(None, only_weightless(AUTO_NETWORK, error.message))


def only_weightless(network: str, why: str) -> str:
    """What ``auto`` tells when it has no network."""
    return f"auto chose among the weightless fills only, because {network} is not available: {why}"
