"""Many images without the service: from one folder or object store into another, through Ray Data.

A result is written whole before it counts, and what is there already is not done again: a run that broke off is
completed by repeating it. One bad picture ends as an error in the report, not the run.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import obstore
import ray
from pydantic import TypeAdapter

from deployments.archive_store import open_store
from deployments.config import InpainterConfig
from models.errors import TextRemovalError
from models.job import InpaintJob
from models.pipeline import process
from models.registry import load_engine

_JOB = TypeAdapter(InpaintJob)
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
_SUFFIX_OF = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image. ``error`` is a sentence; empty: it went well."""

    name: str
    result: str
    seconds: float = 0.0
    model: str = ""
    regions: int = 0
    error: str = ""


def images_in(url: str) -> list[str]:
    """Names of the images below a folder or a prefix, in order."""
    found = [entry["path"] for batch in open_store(url).list() for entry in batch]
    return sorted(name for name in found if PurePosixPath(name).suffix.lower() in _SUFFIXES)


def result_name(name: str, job: InpaintJob) -> str:
    """``a/b.jpg`` becomes ``a/b.jpg.png``: two images that differ in their suffix only keep apart."""
    return name + _SUFFIX_OF[job.output.format]


def finished_in(url: str) -> set[str]:
    return {entry["path"] for batch in open_store(url).list() for entry in batch}


class Worker:
    """One engine in one process of Ray Data; ``config.model`` is the engine."""

    def __init__(self, source: str, target: str, config: InpainterConfig) -> None:
        self._source = open_store(source)
        self._target = open_store(target)
        self._config = config
        self._engine = load_engine(config.model, config.engines)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        job, start = _JOB.validate_json(row["job"]), time.perf_counter()
        outcome = {"name": row["name"], "result": "", "model": "", "regions": 0, "error": ""}
        try:
            image = bytes(obstore.get(self._source, row["name"]).bytes())
            done = process(
                job, image, None, self._engine, max_pixels=self._config.max_pixels,
                max_window_px=self._config.max_window_px, on_progress=lambda event: None, should_stop=lambda: False,
            )  # fmt: skip
            result = result_name(row["name"], job)
            obstore.put(self._target, result, done.data)
            outcome |= {"result": result, "model": done.stats.model, "regions": done.stats.regions_processed}
        except TextRemovalError as error:
            outcome["error"] = error.message
        except OSError as error:  # obstore's errors are of this kind where a file is gone
            outcome["error"] = f"{type(error).__name__}: {error}"[:500]
        return outcome | {"seconds": round(time.perf_counter() - start, 4)}


def run(
    source: str, target: str, jobs: dict[str, InpaintJob], config: InpainterConfig, workers: int
) -> Iterator[Outcome]:
    """Outcomes as they come, in any order. Ray must be up; ``workers`` have an engine each."""
    if not jobs:
        return
    rows = [{"name": name, "job": _JOB.dump_json(job).decode()} for name, job in jobs.items()]
    # As many blocks as images: an outcome comes as soon as its image is done.
    images: Any = ray.data.from_items(rows, override_num_blocks=len(rows))
    outcomes = images.map(
        Worker, fn_constructor_args=(source, target, config), concurrency=workers,
        num_cpus=1, num_gpus=1 if config.device == "cuda" else 0,
    )  # fmt: skip
    for row in outcomes.iter_rows():
        yield Outcome(**row)
