"""What the deployments are told when they are built. Frozen values; nothing here reads the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from models import memory
from models.engine import Precision
from models.registry import EngineConfig

NAMESPACE = "serve"


@dataclass(frozen=True, slots=True)
class LogConfig:
    """How each process of the service logs to its standard error."""

    level: str = "INFO"
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """The task tracker. ``version`` stands for code and settings: another one is another actor."""

    archive_url: str
    version: str
    app_name: str = ""
    retention_s: float = 86_400.0
    max_queued: int = 1000
    max_active_per_client: int = 0
    """Tasks of one client that have not ended; 0: no bound."""
    archive_max_bytes: int = 0
    """Beyond it the oldest results go before their time; 0: no bound."""
    max_attempts: int = 3
    """Deaths of replicas after which a task is given up."""
    max_starts: int = 10
    """Starts of one task, drains and restarts of the service counted too."""
    attempt_silence_s: float = 10.0
    """Seconds without a heartbeat (one every 2 s) after which a running attempt is lost."""
    lease_s: float = 30.0
    """Seconds without a sign of life (one every 5 s) after which another tracker's tasks are taken over."""
    max_remembered: int = 20_000
    """Ended tasks held in memory; older ones are read from the archive when asked for."""
    sync_s: float = 5.0
    """Between two looks at what other trackers do."""
    idle_end_s: float = 600.0
    """Seconds without a call after which a tracker that has nothing left to do, and is not the only one, ends."""
    slots_per_replica: int = 4
    callback_secret: str = ""
    callback_allowed_hosts: tuple[str, ...] = ()
    log: LogConfig = LogConfig()

    @property
    def actor_name(self) -> str:
        return f"TaskTracker:{self.app_name}:{self.version}"

    def for_app(self, app_name: str) -> Self:
        return replace(self, app_name=app_name)


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """One replica that finds text. ``threads``: what one detection uses while it runs."""

    max_pixels: int
    threads: int
    log: LogConfig = LogConfig()


@dataclass(frozen=True, slots=True)
class InpainterConfig:
    """One model replica."""

    model: str
    fallback_model: str
    device: str
    low_mem: bool
    cpu_offload: bool
    model_dir: str | None
    fake_unit_s: float
    max_pixels: int
    max_window_px: int
    workers: int = 8
    """Threads that decode, encode and wait for the engine; at least the deployment's ``max_ongoing_requests``."""
    download_patience_s: float = 30.0
    """After so long without the default model, the fallback answers."""
    threads: int = 0
    """CPU threads of one forward pass; 0: the cores that the replica may use."""
    precision: Precision = "auto"
    max_batch: int = 0
    """Windows of several requests in one pass at most; 0: what the engine says."""
    stuck_after_s: float = 900.0
    """Longer than any unit takes: a replica whose engine does not come on for so long is replaced."""
    model_memory_bytes: int = 0
    """Of all loaded engines; 0: half of the memory, on a GPU four fifths of its."""
    job_memory_bytes: int = 0
    """Of the images of all jobs; 0: two fifths of the memory."""
    shortage_waits_s: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
    """Before a task, which was accepted, tries again where memory or a detector is short."""
    weights_sources: Mapping[str, str] = field(default_factory=dict)
    """IOPaint's variables that say where weights come from."""
    log: LogConfig = LogConfig()

    def model_budget_bytes(self) -> int:
        share = 0.8 if self.device == "cuda" else 0.5
        return self.model_memory_bytes or int(share * memory.device_limit_bytes(self.device))

    def job_budget_bytes(self) -> int:
        return self.job_memory_bytes or int(0.4 * memory.limit_bytes())

    @property
    def engines(self) -> EngineConfig:
        return EngineConfig(
            device=self.device,
            model_dir=self.model_dir,
            fake_unit_s=self.fake_unit_s,
            threads=self.threads,
            precision=self.precision,
            low_mem=self.low_mem,
            cpu_offload=self.cpu_offload,
            sources=self.weights_sources,
        )
