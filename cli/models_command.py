"""``models list`` and ``models fetch``: weights here, before the service needs them."""

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)
# Both import what they need of the service themselves: the other commands start in half of the time.


@app.command("list")
def list_models() -> None:
    """Every model, the files it needs, and where they are on this machine."""
    from cli import weights

    weights.show()


@app.command()
def fetch(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="As `models list` names them.")],
) -> None:
    """Download what models need, to MODEL_DIR or IOPaint's cache; checksums are verified."""
    from cli import weights

    weights.fetch(models)
