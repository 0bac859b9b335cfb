"""``TaskTracker`` as the one named Ray actor: found or created by whoever comes first."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import ray
from ray import serve
from ray.exceptions import ActorDiedError, RayActorError, RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from deployments.archive_store import open_store
from deployments.attempts import ReplicaDrained, ReplicaLost
from deployments.callback_policy import CallbackPolicy
from deployments.collector import spare_what_is_loaded
from deployments.config import NAMESPACE, TrackerConfig
from deployments.errors import ArchiveUnavailable, ServiceUnavailable
from deployments.log_lines import set_up
from deployments.metrics import RayMetrics
from deployments.model_routing import route
from deployments.protocol import ReplicaReport, TaskOrder
from deployments.task_archive import TaskArchive
from deployments.task_tracker import TaskTracker
from deployments.tracing import TaskSpans, traceparent
from deployments.webhooks import WebhookSender


class TrackerActor(TaskTracker):
    """Composes the tracker inside the actor's process."""

    def __init__(self, config: TrackerConfig) -> None:
        set_up("TaskTracker", config.log)
        archive = TaskArchive(open_store(config.archive_url))
        policy = CallbackPolicy(config.callback_allowed_hosts)
        client = httpx.AsyncClient(follow_redirects=False, timeout=30.0, trust_env=False)
        sender = WebhookSender(policy, config.callback_secret, client)
        # The actor's id outlives its restarts, and is another one on every cluster.
        owner = f"{config.version}-{ray.get_runtime_context().get_actor_id()}"
        replicas = _Replicas(config.app_name)
        super().__init__(
            config, archive, owner, replicas.dispatch, replicas.introduce, sender, RayMetrics(), leave=_end_this_actor
        )
        spare_what_is_loaded()


class _Replicas:
    """Those of the model, through a deployment handle."""

    def __init__(self, app_name: str) -> None:
        self._app_name = app_name
        self._found: DeploymentHandle[Any] | None = None
        self._spans = TaskSpans()

    @property
    def _handle(self) -> DeploymentHandle[Any]:
        if self._found is None:
            self._found = serve.get_deployment_handle("Inpainter", self._app_name)
        return self._found

    async def introduce(self) -> ReplicaReport:
        """See ``Introduce``. A call that waits is what starts a service scaled to zero."""
        try:
            report: ReplicaReport = await self._handle.introduce.remote()
        except (RayError, RayServeException) as error:
            raise ServiceUnavailable(f"No replica introduced itself: {type(error).__name__}.") from error
        return report

    async def dispatch(self, order: TaskOrder, model: str | None) -> None:
        """See ``Dispatch``. The call is taken back when this one is cancelled."""
        with self._spans.span("task attempt", order.traceparent, task_id=order.task_id, attempt=order.attempt):
            await self._run(replace(order, traceparent=traceparent()), model)

    async def _run(self, order: TaskOrder, model: str | None) -> None:
        response = route(self._handle, model).run_task.remote(order)
        done = False
        try:
            await response
            done = True
        except RayTaskError as error:
            if isinstance(error.cause, ArchiveUnavailable):
                raise error.cause from None
            raise ReplicaLost(str(error), kind=type(error.cause).__name__) from error
        except (RayError, RayServeException) as error:
            # Serve ends a replica that it scales down or replaces with `ray.kill`; a crash has other words.
            if isinstance(error, RayActorError) and "ray.kill" in str(error):
                raise ReplicaDrained from error
            raise ReplicaLost(str(error), kind=type(error).__name__) from error
        finally:
            if not done:
                response.cancel()  # type: ignore[no-untyped-call]


def connect(config: TrackerConfig) -> Any:
    """The actor's handle. It sits on the head, outlives its creators, and is rebuilt from the archive when it dies."""
    # No concurrency groups: each has a thread and an event loop of its own, and the table belongs to one loop. Waits
    # are few (one long poll for each ingress replica), so they cannot use up the concurrency.
    remote_class: Any = ray.remote(num_cpus=0)(TrackerActor)
    return remote_class.options(
        name=config.actor_name,
        namespace=NAMESPACE,
        get_if_exists=True,
        lifetime="detached",
        max_restarts=-1,
        max_task_retries=-1,
        max_concurrency=1000,
        resources={"node:__internal_head__": 0.001},
    ).remote(config)


class Reconnecting:
    """The actor's handle for one that may be without calls for long: found, or created, again after it has ended."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._actor = connect()

    def __getattr__(self, method: str) -> "_Method":
        return _Method(self, method)

    async def call(self, method: str, *given: Any) -> Any:
        actor = self._actor
        try:
            return await getattr(actor, method).remote(*given)
        except ActorDiedError:
            if actor is self._actor:
                self._actor = self._connect()
            return await getattr(self._actor, method).remote(*given)


class _Method:
    def __init__(self, actor: Reconnecting, name: str) -> None:
        self._actor = actor
        self._name = name

    def remote(self, *given: Any) -> Awaitable[Any]:
        return self._actor.call(self._name, *given)


def _end_this_actor() -> None:
    # `exit_actor` works within an actor's call only.
    ray.kill(ray.get_runtime_context().current_actor)


def find(name: str) -> Any:
    """The handle of a tracker that lives already, of this code or another. Raises ``ValueError`` where none does."""
    return ray.get_actor(name, namespace=NAMESPACE)
