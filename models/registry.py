"""Names to engines: one table, everything heavy imported only when it is loaded."""

from dataclasses import dataclass
from pathlib import Path

from models.engine import InpaintEngine
from models.engines.classic.names import FILLS
from models.errors import UnknownModel
from models.weights import WeightsFile, WeightsStore

WEIGHTLESS = ("classic", "cv2", "fake", *FILLS)
WITH_WEIGHTS = ("lama", "anime-lama", "ldm", "zits", "mat", "fcf", "manga", "migan")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """``device``: cpu, cuda or mps. ``fake_unit_s``: seconds per unit of the ``fake`` engine."""

    device: str
    model_dir: str | None = None
    fake_unit_s: float = 0.05


def known_models() -> tuple[str, ...]:
    return WITH_WEIGHTS + WEIGHTLESS


def needed_files(name: str) -> tuple[WeightsFile, ...]:
    """The weights files that a model needs; none for the weightless. Imports IOPaint's module of the model."""
    if name not in WITH_WEIGHTS:
        return ()
    from models.engines.iopaint import files

    return tuple(files(name).values())


def load_engine(name: str, config: EngineConfig) -> InpaintEngine:
    """Blocking; may download. Raises ``UnknownModel``, ``ModelUnavailable``."""
    if name == "cv2":
        from models.engines.opencv import OpenCVEngine

        return OpenCVEngine()
    if name == "classic" or name in FILLS:
        from models.engines.classic.engine import ClassicEngine, single

        return ClassicEngine() if name == "classic" else single(name)
    if name == "fake":
        from models.engines.fake import FakeEngine

        return FakeEngine(config.fake_unit_s)
    if name in WITH_WEIGHTS:
        from models.engines.iopaint import load

        return load(name, config.device, WeightsStore(Path(config.model_dir) if config.model_dir else None))
    raise UnknownModel(f"The model {name} is unknown. Known are: {', '.join(known_models())}.", field="model")
