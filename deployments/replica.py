"""The Serve classes of replicas below the edge: compose ``Inpainter`` and ``Detector`` inside their processes."""

from functools import partial
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.actor import connect, find
from deployments.archive_store import open_store
from deployments.config import DetectorConfig, InpainterConfig, TrackerConfig
from deployments.detect_client import DetectClient
from deployments.detector import Detector
from deployments.engine_room import EngineRoom, kept
from deployments.engine_shelf import EngineShelf
from deployments.inpainter import Inpainter
from deployments.log_lines import set_up
from deployments.metrics import RayMetrics
from deployments.task_archive import TaskArchive
from deployments.task_client import ActorLink, ActorLinks
from deployments.user_config import InpainterUserConfig, LogLevel
from models.registry import expected_bytes, load_engine


class InpainterReplica(Inpainter):
    """Undecorated on purpose: only the builder makes deployments."""

    def __init__(self, config: InpainterConfig, tracker: TrackerConfig, detector: DeploymentHandle[Any]) -> None:
        context = serve.get_replica_context()
        set_up(f"Inpainter {context.replica_id.unique_id}", config.log)
        named = tracker.for_app(context.app_name)
        own = ActorLink(connect(named))
        shelf = EngineShelf(
            partial(load_engine, config=config.engines),
            config.model_budget_bytes(),
            kept=kept(config),
            expect=partial(expected_bytes, config=config.engines),
        )
        super().__init__(
            config,
            EngineRoom(config, shelf),
            TaskArchive(open_store(tracker.archive_url)),
            own,
            context.replica_id.unique_id,
            DetectClient(detector, None),
            RayMetrics(),
            ActorLinks(named.actor_name, own, find),
        )
        self._log_level = LogLevel()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Called once the event loop runs, and on every change of ``user_config``."""
        options = InpainterUserConfig.model_validate(user_config)
        self._log_level.apply(options)
        self.limit_pixels(options.max_pixels)
        self.limit_batch(options.max_batch)
        if not self.started:
            self.start()


class DetectorReplica(Detector):
    """Undecorated, too."""

    def __init__(self, config: DetectorConfig) -> None:
        set_up(f"Detector {serve.get_replica_context().replica_id.unique_id}", config.log)
        super().__init__(config)
