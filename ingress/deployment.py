"""The Serve class of the edge: receives handles and configs, exposes the ASGI application."""

from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.actor import Reconnecting, connect
from deployments.archive_store import open_store
from deployments.callback_policy import CallbackPolicy
from deployments.collector import spare_what_is_loaded
from deployments.config import TrackerConfig
from deployments.detect_client import DetectClient
from deployments.inpaint_client import InpaintClient
from deployments.log_lines import set_up
from deployments.node_metrics import NodeMetrics
from deployments.task_archive import TaskArchive
from deployments.task_client import TaskClient
from deployments.user_config import LogLevel, UserConfig
from ingress.app import create_app
from ingress.config import AppConfig
from ingress.services import Services
from ingress.settings import guard_is_on


class IngressReplica:
    """Undecorated on purpose: only the builder makes deployments."""

    def __init__(
        self,
        inpainter: DeploymentHandle[Any],
        config: AppConfig,
        tracker: TrackerConfig,
        detector: DeploymentHandle[Any],
    ) -> None:
        context = serve.get_replica_context()
        app_name = context.app_name
        set_up(f"Ingress {context.replica_id.unique_id}", tracker.log)
        self._config = config
        self._log_level = LogLevel()
        self._services = Services(
            inpainter=InpaintClient(inpainter, config.request_timeout_s),
            tasks=TaskClient(
                Reconnecting(lambda: connect(tracker.for_app(app_name))), TaskArchive(open_store(tracker.archive_url))
            ),
            check_callback=CallbackPolicy(tracker.callback_allowed_hosts).check,
            finder=DetectClient(detector, config.request_timeout_s),
            metrics=NodeMetrics(),
        )

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """On every change of ``user_config``."""
        self._log_level.apply(UserConfig.model_validate(user_config))

    def __serve_build_asgi_app__(self) -> FastAPI:
        app = create_app(self._services, self._config, echo_request_id=False, guarded=guard_is_on())
        spare_what_is_loaded()
        return app
