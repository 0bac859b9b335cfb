"""``doctor``: is everything here that the service needs, and if not, what to do about it."""

import json
import platform
import shutil
import socket
import sys
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import obstore
import obstore.exceptions
import typer
from rich.table import Table
from rich.text import Text

from cli.output import out
from deployments.archive_store import open_store
from ingress.settings import Settings, WrongSetting, default_archive_dir, from_environment
from models.registry import needed_files
from models.weights import WeightsStore

_ENOUGH_BYTES = 5 * 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """``level``: good, weak (it runs, but not as it could) or bad (it does not run). ``advice`` empty: none."""

    name: str
    level: str
    found: str
    advice: str = ""


def command(as_json: bool) -> None:
    try:
        settings = from_environment()
    except WrongSetting as error:
        findings = [Finding("settings", "bad", str(error), f"Correct {error.details['variable']}.")]
    else:
        findings = [check(settings) for check in CHECKS]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        _show(findings)
    if any(finding.level == "bad" for finding in findings):
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    table = Table("", "What", "Found", "What to do")
    marks = {"good": Text("ok", "green"), "weak": Text("weak", "yellow"), "bad": Text("bad", "red")}
    for finding in findings:
        table.add_row(marks[finding.level], finding.name, finding.found, finding.advice)
    out().print(table)


def check_python(settings: Settings) -> Finding:
    version = platform.python_version()
    if sys.version_info[:2] != (3, 11):
        return Finding("Python", "bad", version, "Install Python 3.11, remove .venv, run scripts/setup.")
    return Finding("Python", "good", version)


def check_ray(settings: Settings) -> Finding:
    import ray

    return Finding("Ray", "good", ray.__version__)


def check_torch(settings: Settings) -> Finding:
    import torch

    if settings.iopaint_device == "cuda" and torch.version.cuda is None:
        advice = "Install a build of torch with CUDA, or set IOPAINT_DEVICE=cpu."
        return Finding("torch", "bad", f"{torch.__version__}, a build without CUDA", advice)
    return Finding("torch", "good", str(torch.__version__))


def check_gpu(settings: Settings) -> Finding:
    import torch

    if settings.iopaint_device == "mps":
        there = torch.backends.mps.is_available()
        return Finding("GPU", "good" if there else "bad", "mps", "" if there else "Set IOPAINT_DEVICE=cpu.")
    if not torch.cuda.is_available():
        if settings.iopaint_device == "cuda":
            return Finding("GPU", "bad", "none that torch can use", "Check the driver, or set IOPAINT_DEVICE=cpu.")
        return Finding("GPU", "good", "none; IOPAINT_DEVICE=cpu needs none")
    name = torch.cuda.get_device_name(0)
    if settings.iopaint_device == "cpu":
        return Finding("GPU", "weak", f"{name} is there and not used", "Set IOPAINT_DEVICE=cuda.")
    return Finding("GPU", "good", name)


def check_weights(settings: Settings) -> Finding:
    model = settings.iopaint_model
    store = WeightsStore(settings.model_dir)
    missing = [file.name for file in needed_files(model, settings.weights_sources) if store.find(file) is None]
    if not missing:
        return Finding("weights", "good", f"{model} has what it needs")
    advice = f"Run `iopaint-serve models fetch {model}`, or place the file in MODEL_DIR."
    fallback = settings.iopaint_fallback_model
    found = f"{', '.join(missing)} of {model} is missing; {fallback or 'nothing'} answers instead"
    return Finding("weights", "weak" if fallback else "bad", found, advice)


def check_port(settings: Settings) -> Finding:
    port = settings.iopaint_port
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    if not taken:
        return Finding("port", "good", f"{port} is free")
    try:
        health = httpx.get(f"http://127.0.0.1:{port}/api/v1/health", timeout=3, trust_env=False).json()
        return Finding("port", "good", f"{port}: this service answers, {health['status']}")
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return Finding("port", "bad", f"{port} is in use by something else", "Set IOPAINT_PORT to a free one.")


def check_archive(settings: Settings) -> Finding:
    url = settings.task_archive_url or str(default_archive_dir())
    name = f"doctor-{uuid.uuid4().hex}"
    try:
        store = open_store(url)
        obstore.put(store, name, b"probe")
        obstore.delete(store, name)
    except (OSError, ValueError, obstore.exceptions.BaseError) as error:
        advice = "Make the folder or bucket writable, or set TASK_ARCHIVE_URL to another."
        return Finding("archive", "bad", f"{url} cannot be written: {type(error).__name__}", advice)
    if "://" not in url and shutil.disk_usage(Path(url)).free < _ENOUGH_BYTES:
        return Finding(
            "archive", "weak", f"{url} has less than 5 GiB left", "Free some, or set a TASK_ARCHIVE_MAX_BYTES."
        )
    return Finding("archive", "good", url)


CHECKS: tuple[Callable[[Settings], Finding], ...] = (
    check_python, check_ray, check_torch, check_gpu, check_weights, check_port, check_archive,
)  # fmt: skip
