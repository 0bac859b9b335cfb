"""Names to engines: one table, everything heavy imported only when it is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.catalog import DIFFUSION, ERASE, is_diffusion
from models.engine import InpaintEngine, Precision
from models.engines.classic.names import FILLS
from models.errors import ModelUnavailable, UnknownModel
from models.weights import WeightsFile, WeightsStore, weights_files

CLASSIC = ("classic", *FILLS)
WEIGHTLESS = ("cv2", "fake", *CLASSIC)
AUTO = "auto"
"""``classic`` and a network; works without the network's weights, too, and says so."""
AUTO_NETWORK = "lama"
"""Of ``auto`` where it is itself the default model."""
LAMA = ("lama", "anime-lama")
WITH_WEIGHTS = tuple(ERASE)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """``device``: cpu, cuda or mps. ``fake_unit_s``: seconds per unit of the ``fake`` engine."""

    device: str
    model_dir: str | None = None
    fake_unit_s: float = 0.05
    threads: int = 0
    """CPU threads of one forward pass; 0: the cores that this process may use."""
    precision: Precision = "auto"
    low_mem: bool = True
    """Diffusion models work in slices and tiles."""
    cpu_offload: bool = True
    """Diffusion models leave the GPU between their parts."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """IOPaint's ``*_URL`` and ``*_MD5`` variables, where the operator has set them."""

    @property
    def folder(self) -> Path | None:
        return Path(self.model_dir) if self.model_dir else None


def known_models() -> tuple[str, ...]:
    return (*WITH_WEIGHTS, AUTO, *WEIGHTLESS, *DIFFUSION)


def is_known(name: str) -> bool:
    """Also of diffusion models that have no place in the list: any ``owner/name`` may be one."""
    return name in known_models() or is_diffusion(name)


def needed_files(name: str, sources: Mapping[str, str] | None = None) -> tuple[WeightsFile, ...]:
    """The weights files that a model needs; none for the weightless, and for diffusion models, which are folders."""
    if name == AUTO:
        return needed_files(AUTO_NETWORK, sources)
    return tuple(weights_files(name, sources).values()) if name in WITH_WEIGHTS else ()


def expected_bytes(name: str, config: EngineConfig) -> int:
    """What a model will hold, as far as the files that are here tell; 0 when they are still to be fetched."""
    if is_diffusion(name):
        from models.hub import PipelineStore

        folder = PipelineStore(config.folder).find(name)
        found = [*folder.rglob("*.safetensors"), *folder.rglob("*.bin")] if folder else []
    else:
        store = WeightsStore(config.folder)
        found = [path for file in needed_files(name, config.sources) if (path := store.find(file))]
    return sum(path.stat().st_size for path in found)


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
    if name in WITH_WEIGHTS or is_diffusion(name):
        return _load_network(name, config)
    raise UnknownModel(f"The model {name} is unknown. Known are: {', '.join(known_models())}.", field="model")


def _load_network(name: str, config: EngineConfig) -> InpaintEngine:
    from models import cpu

    _require_device(name, config.device)
    store = WeightsStore(config.folder)
    if name in LAMA:
        from models.engines.lama.engine import load as load_lama

        return load_lama(name, config.device, store, config.threads, config.precision, config.sources)
    cpu.prepare(config.threads)
    if name in WITH_WEIGHTS:
        from models.engines.iopaint import load

        return load(name, config.device, store, config.sources)
    from models.engines.diffusion import load as load_diffusion
    from models.hub import PipelineStore

    pipelines = PipelineStore(config.folder)
    return load_diffusion(name, config.device, pipelines, low_mem=config.low_mem, cpu_offload=config.cpu_offload)


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
