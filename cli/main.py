"""``iopaint-serve``: the commands by name."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli import models_command, tasks, work
from cli.output import AsJson, Failing, Target

app = typer.Typer(cls=Failing, no_args_is_help=True, help="Removes text, and anything else, from images.")
app.add_typer(models_command.app, name="models", help="Models and their weights.")
app.command("remove")(work.remove)
app.command("batch")(work.batch)
app.command("detect")(work.detect)
app.command("tasks")(tasks.tasks)
app.command("watch")(tasks.watch)
app.command("result")(tasks.result)
app.command("cancel")(tasks.cancel)


@app.callback()
def common(
    context: typer.Context,
    url: Annotated[str, typer.Option(envvar="IOPAINT_URL", help="The service.")] = "http://localhost:8081",
    api_key: Annotated[str | None, typer.Option(envvar="IOPAINT_API_KEY", help="Its key, if it asks for one.")] = None,
) -> None:
    context.obj = Target(url, api_key)


# What these two need of the service is imported by them: the other commands start in half of the time.


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this machine and its settings. Exit code 1 when the service could not run."""
    from cli.doctor import command

    command(as_json)


@app.command()
def serve(
    config: Annotated[Path | None, typer.Argument(help="Another Serve configuration than serve_config.yaml.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (IOPAINT_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (IOPAINT_PORT).")] = None,
    model: Annotated[str | None, typer.Option(help="Default model (IOPAINT_MODEL).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or mps (IOPAINT_DEVICE).")] = None,
) -> None:
    """Start the service here; Ctrl-C ends it. Every other setting is an environment variable (see the README)."""
    from ingress import launch

    given = {"IOPAINT_HOST": host, "IOPAINT_PORT": port, "IOPAINT_MODEL": model, "IOPAINT_DEVICE": device}
    # The settings, and the child process, read the environment.
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    raise typer.Exit(launch.main(config) if config else launch.main())
