"""``scripts/benchmark``: measures speed and quality; each part can be run alone, and ``report`` writes the pages."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.speed import costs, encoders, engine_alone, neighbours, over_http, passes, report, resident, scaling
from benchmarks.speed.servers import PRECISION, STATE

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
console = Console()
Sizes = Annotated[list[int], typer.Option("--size", help="Pixels a side; may be given several times.")]


@app.command()
def engine(size: Sizes = [256, 512, 1024], repeats: int = 5) -> None:  # noqa: B006
    """LaMa alone: our generator beside the TorchScript file as IOPaint runs it."""
    with progress("engine", len(size) * (repeats + 1) * 3) as tick:
        keep("engine", engine_alone.measure(tuple(size), repeats, tick))


@app.command()
def http(size: Sizes = [512, 1024, 2048]) -> None:  # noqa: B006
    """Over HTTP beside IOPaint's own server: sizes, regions and strategies, one client. ``IOPAINT_PRECISION=float32``
    measures that, for a table of its own."""
    for one in size:
        with progress(f"{one} px", over_http.steps((one,))) as tick:
            keep(of_precision(f"http-{one}"), over_http.side_by_side((one,), tick))


@app.command()
def clients() -> None:
    """Eight clients at once, beside IOPaint's own server; ``IOPAINT_PRECISION`` as for ``http``."""
    with progress("clients", 2) as tick:
        keep(of_precision("clients"), over_http.eight_clients(tick))


@app.command()
def stages() -> None:
    """What HTTP, Ray and codecs add to the engine's time."""
    with progress("stages", 2) as tick:
        keep("stages", over_http.stages(tick))


@app.command("scaling")
def by_regions_and_pixels() -> None:
    """Cost against the number of regions and of pixels."""
    with progress("scaling", scaling.steps()) as tick:
        keep("scaling", scaling.measure(tick))


@app.command()
def memory(calls: int = resident.CALLS) -> None:
    """The replica's size after each of fifty large pictures: about seven minutes on two cores."""
    with progress("memory", calls) as tick:
        found = resident.measure(calls, tick)
    keep("memory", found)
    if abs(found["worst"]) > resident.ALLOWED:
        raise SystemExit(f"The replica's size moved by {found['worst']:+.1%}; {resident.ALLOWED:.0%} are allowed.")


@app.command("neighbours")
def what_neighbours_cost(repeats: int = 5) -> None:
    """What other work on the same cores costs a pass of the engine."""
    with progress("neighbours", neighbours.steps(repeats)) as tick:
        keep("neighbours", neighbours.measure(repeats, tick))


@app.command("encoders")
def png_encoders() -> None:
    """Writing PNG: ours beside OpenCV's and Pillow's."""
    with progress("encoders", encoders.steps()) as tick:
        keep("encoders", encoders.measure(tick))


@app.command("passes")
def pass_memory() -> None:
    """What one pass of each network needs beside its weights, per pixel: what models/memory.py reckons with."""
    with progress("passes", passes.steps()) as tick:
        keep("passes", passes.measure(tick))


@app.command("costs")
def window_costs(write: Annotated[bool, typer.Option(help="Into models/costs.json.")] = False) -> None:
    """What a window costs by its size: the table that the plan of windows is made by."""
    with progress("costs", costs.steps()) as tick:
        found = costs.measure(tick)
    console.print_json(data=found)
    if write:
        costs.write(found, engine_alone.cpu_name())


@app.command("report")
def write_report() -> None:
    """docs/performance.md and its plot, from what was measured last."""
    report.write(console)


@app.command("all")
def everything() -> None:
    """Every part of the speed, then the report: about half an hour on two cores."""
    engine()
    http()
    clients()
    stages()
    by_regions_and_pixels()
    memory()
    what_neighbours_cost()
    png_encoders()
    write_report()


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def of_precision(name: str) -> str:
    precision = os.environ.get(PRECISION, "auto")
    return name if precision == "auto" else f"{name}-{precision}"


def keep(name: str, found: dict[str, Any]) -> None:
    STATE.mkdir(parents=True, exist_ok=True)
    (STATE / f"{name}.json").write_text(json.dumps(found, indent=1))
    console.print_json(data=found)


if __name__ == "__main__":
    app()
