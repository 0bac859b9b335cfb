"""``scripts/batch SOURCE TARGET REGIONS``: a folder, or an s3:// prefix, of images through the engines; see --help.

REGIONS is a JSON file: the regions of each image by its name, and under ``*`` those of all others:
{"a.jpg": [{"x": 10, "y": 10, "width": 200, "height": 30}], "*": [...]}. Images without regions are left out.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import obstore
import ray
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deployments import offline
from deployments.archive_store import open_store
from deployments.config import InpainterConfig
from deployments.offline import Outcome
from ingress.builder import inpainter_config
from ingress.schemas.requests import RegionsRequest
from ingress.settings import Settings
from models.job import InpaintJob

_REPORT = "report.json"
_LINE_EVERY_S = 10.0


def jobs_for(names: list[str], regions: dict[str, object], options: dict[str, object]) -> dict[str, InpaintJob]:
    """Raises ``pydantic.ValidationError`` where regions or options are not as in the API."""
    found = {}
    for name in names:
        given = regions.get(name, regions.get("*"))
        if given:
            found[name] = RegionsRequest.model_validate({"image": "", "regions": given, **options}).job(None)
    return found


def report(outcomes: list[Outcome], before: int, left_out: int, seconds: float, config: InpainterConfig) -> bytes:
    failed = [outcome for outcome in outcomes if outcome.error]
    summary = {
        "model": config.model, "device": config.device, "done": len(outcomes) - len(failed), "failed": len(failed),
        "done_before": before, "without_regions": left_out, "seconds": round(seconds, 2),
        "images": [asdict(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.name)],
    }  # fmt: skip
    return json.dumps(summary, indent=1).encode()


def with_bar(outcomes: Iterator[Outcome], total: int, done: int, console: Console) -> Iterator[Outcome]:
    """A bar, or a line now and then where the output is a file."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        line = bar.add_task("Images", total=total, completed=done)
        told_at = time.monotonic()
        for number, outcome in enumerate(outcomes, done + 1):
            if not console.is_terminal and time.monotonic() - told_at > _LINE_EVERY_S:
                told_at = time.monotonic()
                console.print(f"{number}/{total} images", highlight=False)
            if outcome.error:
                console.print(f"{outcome.name}: {outcome.error}", highlight=False, markup=False)
            bar.advance(line)
            yield outcome


def main(arguments: list[str] | None = None) -> int:
    given = _arguments(arguments)
    console = Console()
    settings = Settings.model_validate({"iopaint_model": given.model} if given.model else {})
    config = inpainter_config(settings)
    names = offline.images_in(given.source)
    options = {"output_format": given.output_format, "hd_strategy": given.hd_strategy, "quality": given.quality}
    try:
        jobs = jobs_for(names, json.loads(given.regions.read_text()), options)
    except ValidationError as error:
        console.print(f"The regions are not as expected: {error}", highlight=False, markup=False)
        return 2
    finished = offline.finished_in(given.target)
    open_jobs = {name: job for name, job in jobs.items() if offline.result_name(name, job) not in finished}
    before = len(jobs) - len(open_jobs)
    # Of a cluster of its own; nobody would look at it.
    ray.init(address=given.address, log_to_driver=False, include_dashboard=False)
    # The bar is ours: Ray Data's would count blocks.
    ray.data.DataContext.get_current().enable_progress_bars = False
    start = time.monotonic()
    outcomes = list(
        with_bar(offline.run(given.source, given.target, open_jobs, config, given.workers), len(jobs), before, console)
    )
    data = report(outcomes, before, len(names) - len(jobs), time.monotonic() - start, config)
    obstore.put(open_store(given.target), _REPORT, data)
    ray.shutdown()
    failed = sum(bool(outcome.error) for outcome in outcomes)
    console.print(f"{len(outcomes) - failed} done, {failed} failed, {before} done before; see {_REPORT}")
    return 1 if failed else 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="folder or URL of the images")
    parser.add_argument("target", help="folder or URL of the results; what is there already is not done again")
    parser.add_argument("regions", type=Path)
    parser.add_argument("--model", help="the engine; without it IOPAINT_MODEL")
    parser.add_argument("--output-format", choices=("png", "jpeg", "webp"), default="png")
    parser.add_argument("--quality", type=int, default=95)
    parser.add_argument("--hd-strategy", choices=("Original", "Crop", "Resize", "Auto"), default="Auto")
    parser.add_argument("--workers", type=int, default=1, help="engines at work at a time")
    parser.add_argument("--address", default="local", help="of a Ray cluster; without it one on this machine")
    return parser.parse_args(arguments)
