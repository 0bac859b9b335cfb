"""Composition root: settings become the Serve application. The only place that makes deployments.

``import_path: ingress.builder:build``. The YAML's ``args`` are fields of ``Settings``; unknown ones are refused.
"""

import hashlib
import logging
from typing import Any

from ray import serve
from ray.serve import Application

from deployments.config import DetectorConfig, InpainterConfig, LogConfig, TrackerConfig
from deployments.replica import DetectorReplica, InpainterReplica
from ingress.config import VERSION, AppConfig
from ingress.deployment import IngressReplica
from ingress.settings import Settings, default_archive_dir

log = logging.getLogger("ray.serve")

_SLOTS = 4
"""Tasks that one replica works on at a time."""
_MAX_ONGOING = 2 * _SLOTS
"""With the synchronous calls, too: tasks never take all places, so a call that somebody waits for finds one."""

_DETECTOR_THREADS = 2
"""Of one detection. More than the share of CPU below: a replica is idle most of the time, and somebody waits when it
is not."""


def build(args: Settings) -> Application:
    """Every option that follows from the device is set here: one in the YAML would replace them all."""
    # Of a deployment, because Serve takes the YAML's for the proxy and the controller only where nothing is set here.
    logging_config = {"log_level": args.log_level, "encoding": "JSON"}
    # Serve's stub gives the return type of its decorator form.
    inpainter: Any = serve.deployment(
        InpainterReplica,
        name="Inpainter",
        ray_actor_options={"num_cpus": 1, "num_gpus": 1 if args.iopaint_device == "cuda" else 0},
        max_ongoing_requests=_MAX_ONGOING,
        # Serve calls `reconfigure`, which starts the replica's loops, only when there is a user_config.
        user_config={},
        logging_config=logging_config,
    )
    detector: Any = serve.deployment(
        DetectorReplica,
        name="Detector",
        # Half a CPU, so that the whole service still starts on a machine with two.
        ray_actor_options={"num_cpus": 0.5},
        # One at work, one whose picture has arrived; the others wait where replicas are counted.
        max_ongoing_requests=2,
        logging_config=logging_config,
    )
    # The late-bound form builds the FastAPI application in the replica: nothing of it is pickled.
    asgi_class: type[IngressReplica] = serve.ingress()(IngressReplica)
    ingress: Any = serve.deployment(
        asgi_class,
        name="Ingress",
        ray_actor_options={"num_cpus": 0.1},
        max_ongoing_requests=1000,
        user_config={},
        logging_config=logging_config,
    )
    _warn_of_guard(args)
    tracker = tracker_config(args)
    finder = detector.bind(DetectorConfig(max_pixels=args.max_pixels, threads=_DETECTOR_THREADS, log=log_config(args)))
    bound = inpainter.bind(inpainter_config(args), tracker, finder)
    application: Application = ingress.bind(bound, AppConfig.from_settings(args), tracker, finder)
    return application


def _warn_of_guard(args: Settings) -> None:
    """The guard in the proxies reads their environment; what the YAML says of its settings reaches it only there."""
    known = Settings.model_validate({})
    for name in ("max_concurrent_calls", "upload_idle_timeout", "cors_origins"):
        if getattr(args, name) != getattr(known, name):
            log.warning("the HTTP proxies do not see this argument: set it in their environment, too", extra={
                "variable": name.upper(), "argument": getattr(args, name), "in_the_proxies": getattr(known, name),
            })  # fmt: skip


def log_config(settings: Settings) -> LogConfig:
    return LogConfig(settings.log_level, settings.log_format == "json")


def inpainter_config(settings: Settings) -> InpainterConfig:
    return InpainterConfig(
        model=settings.iopaint_model,
        fallback_model=settings.iopaint_fallback_model,
        device=settings.iopaint_device,
        low_mem=settings.iopaint_low_mem,
        cpu_offload=settings.iopaint_cpu_offload,
        model_dir=str(settings.model_dir) if settings.model_dir else None,
        fake_unit_s=settings.iopaint_fake_unit_s,
        threads=settings.iopaint_threads,
        precision=settings.iopaint_precision,
        max_batch=settings.iopaint_max_batch,
        max_pixels=settings.max_pixels,
        max_window_px=settings.max_image_size,
        model_memory_bytes=settings.model_memory_bytes,
        job_memory_bytes=settings.job_memory_bytes,
        weights_sources=settings.weights_sources,
        log=log_config(settings),
    )


def tracker_config(settings: Settings) -> TrackerConfig:
    # An actor found by name keeps the arguments of its creator, so other settings need another name.
    digest = hashlib.sha256(f"{VERSION} {settings.model_dump_json()}".encode()).hexdigest()
    return TrackerConfig(
        archive_url=settings.task_archive_url or str(default_archive_dir()),
        version=digest[:12],
        retention_s=settings.task_retention_s,
        archive_max_bytes=settings.task_archive_max_bytes,
        max_queued=settings.max_queued_tasks,
        max_active_per_client=settings.max_tasks_per_client,
        slots_per_replica=_SLOTS,
        callback_secret=settings.callback_secret,
        callback_allowed_hosts=settings.callback_allowed_hosts,
        log=log_config(settings),
    )
