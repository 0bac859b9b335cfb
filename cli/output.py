"""What all commands share: where they print, whom they talk to, how they fail."""

from dataclasses import dataclass
from typing import Any

from iopaint_client import Client, TextRemovalClientError
from rich.console import Console
from typer.core import TyperGroup

from models.errors import TextRemovalError


def out() -> Console:
    """Made anew each time: tests and pipes change what stdout is."""
    return Console(highlight=False)


def err() -> Console:
    return Console(stderr=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Target:
    """The service that is meant."""

    url: str
    api_key: str | None

    def client(self) -> Client:
        return Client(self.url, api_key=self.api_key)


class Failing(TyperGroup):
    """Expected failures become one sentence on stderr and exit code 1; bugs keep their trace."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (TextRemovalClientError, TextRemovalError, OSError) as error:
            err().print(f"[bold red]Error:[/] {error}", soft_wrap=True)
            ctx.exit(1)
