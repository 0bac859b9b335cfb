"""``tasks``, ``watch``, ``result``, ``cancel``: what runs, and what became of it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.output import AsJson, Target, err, out

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")]


def tasks(context: typer.Context, as_json: AsJson = False) -> None:
    """Figures of the queue, and the tasks that have not ended."""
    target: Target = context.obj
    with target.client() as client:
        queue = client.queue()
        active = [client.task(task_id).status() for task_id in queue.active_task_ids]
    if as_json:
        told = {"queue": asdict(queue), "active": [dict(state.raw) for state in active]}
        typer.echo(json.dumps(told))
        return
    wait = "unknown" if queue.estimated_wait_s is None else f"{queue.estimated_wait_s:.1f} s"
    out().print(
        f"active {queue.active} (waiting {queue.pending}), completed {queue.completed}, failed {queue.error}, "
        f"cancelled {queue.cancelled}; estimated wait {wait}",
        soft_wrap=True,
    )
    if not active:
        return
    table = Table("Task", "State", "Stage", "Progress", "Regions")
    for state in active:
        regions = f"{state.current_region}/{state.total_regions}"
        table.add_row(state.task_id, state.status, state.stage or "", f"{state.progress:.0f} %", regions)
    out().print(table)


def watch(context: typer.Context, task_id: TaskId, as_json: AsJson = False) -> None:
    """Follow a task to its end; as JSON, one line for each update. Exit code 1 when it failed or was cancelled."""
    target: Target = context.obj
    with target.client() as client:
        task = client.task(task_id)
        if as_json:
            for update in task:
                typer.echo(json.dumps(asdict(update)))
            task.status().raise_for_end()
            return
        name = TextColumn("{task.description}", markup=False)
        with Progress(name, BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), console=err()) as shown:
            bar = shown.add_task(task_id, total=100)
            for update in task:
                shown.update(bar, completed=update.progress, description=f"{task_id} {update.stage or update.status}")
        state = task.status()
    out().print(f"{task_id}: {state.status}", soft_wrap=True)
    state.raise_for_end()


def result(
    context: typer.Context,
    task_id: TaskId,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the picture goes.")],
) -> None:
    """Wait for a task and fetch its picture."""
    target: Target = context.obj
    with target.client() as client:
        path = client.task(task_id).result().save(output)
    out().print(str(path), soft_wrap=True)


def cancel(context: typer.Context, task_id: TaskId) -> None:
    """Cancel a task; it stops within one unit of work."""
    target: Target = context.obj
    with target.client() as client:
        client.task(task_id).cancel()
    out().print(f"{task_id}: cancelled", soft_wrap=True)
