"""The Serve classes of replicas below the edge: compose ``Inpainter`` and ``Detector`` inside their processes.

PyTorch is imported there only, so that whoever builds the application does without.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from ray import serve
from ray.serve._private.common import ReplicaID
from ray.serve.handle import DeploymentHandle

from deployments.actor import connect, find
from deployments.archive_store import open_store
from deployments.config import DetectorConfig, InpainterConfig, TrackerConfig
from deployments.detect_client import DetectClient
from deployments.detector import Detector
from deployments.log_lines import set_up
from deployments.metrics import RayMetrics
from deployments.model_routing import announce
from deployments.protocol import ReplicaReport, TaskOrder
from deployments.task_archive import TaskArchive
from deployments.task_client import ActorLink, ActorLinks
from deployments.user_config import InpainterUserConfig, LogLevel
from models.job import InpaintJob, JobResult

if TYPE_CHECKING:
    from deployments.inpainter import Inpainter


class InpainterReplica:
    """Undecorated on purpose: only the builder makes deployments."""

    def __init__(self, config: InpainterConfig, tracker: TrackerConfig, detector: DeploymentHandle[Any]) -> None:
        context = serve.get_replica_context()
        set_up(f"Inpainter {context.replica_id.unique_id}", config.log)
        named = tracker.for_app(context.app_name)
        own = ActorLink(connect(named))  # before the imports below: it may have to start, too, and does so beside them
        self._inpainter = _composed(
            config,
            TaskArchive(open_store(tracker.archive_url)),
            own,
            ActorLinks(named.actor_name, own, find),
            context.replica_id,
            DetectClient(detector, None),
        )
        self._log_level = LogLevel()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Called once the event loop runs, and on every change of ``user_config``."""
        options = InpainterUserConfig.model_validate(user_config)
        self._log_level.apply(options)
        self._inpainter.limit_pixels(options.max_pixels)
        self._inpainter.limit_batch(options.max_batch)
        if not self._inpainter.started:
            self._inpainter.start()

    async def inpaint(self, job: InpaintJob, image: bytes, mask: bytes | None) -> JobResult:
        return await self._inpainter.inpaint(job, image, mask)

    async def run_task(self, order: TaskOrder) -> None:
        await self._inpainter.run_task(order)

    async def introduce(self) -> ReplicaReport:
        return await self._inpainter.introduce()

    async def check_health(self) -> None:
        await self._inpainter.check_health()

    async def __del__(self) -> None:
        """Serve awaits it when the replica has ended its last call."""
        await self._inpainter.close()


def _composed(
    config: InpainterConfig,
    archive: TaskArchive,
    own: ActorLink,
    links: ActorLinks,
    replica_id: ReplicaID,
    finder: DetectClient,
) -> "Inpainter":
    from deployments.engine_room import EngineRoom, kept
    from deployments.engine_shelf import EngineShelf
    from deployments.inpainter import Inpainter
    from models.registry import expected_bytes, load_engine

    shelf = EngineShelf(
        partial(load_engine, config=config.engines),
        config.model_budget_bytes(),
        kept=kept(config),
        expect=partial(expected_bytes, config=config.engines),
        announce=partial(announce, replica_id),
    )
    room = EngineRoom(config, shelf)
    return Inpainter(config, room, archive, own, replica_id.unique_id, finder, RayMetrics(), links)


class DetectorReplica(Detector):
    """Undecorated, too."""

    def __init__(self, config: DetectorConfig) -> None:
        set_up(f"Detector {serve.get_replica_context().replica_id.unique_id}", config.log)
        super().__init__(config)
