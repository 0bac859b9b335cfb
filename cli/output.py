"""What all commands share: where they print, whom they talk to, how they fail."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer
from iopaint_client import Client, ConnectionFailed, Retries, TextRemovalClientError, Unauthorized
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from models.errors import TextRemovalError


def out() -> Console:
    """Made anew each time: tests and pipes change what stdout is. Paths and errors are printed as they are."""
    return Console(highlight=False, markup=False, emoji=False)


def err() -> Console:
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")]


@dataclass(frozen=True, slots=True)
class Target:
    """The service that is meant."""

    url: str
    api_key: str | None

    def client(self) -> Client:
        # Somebody waits at the terminal: a second of repeats, not a minute.
        return Client(self.url, api_key=self.api_key, retries=Retries(attempts=4))


_ADVICE: dict[type[Exception], str] = {
    ConnectionFailed: "Is it running? `iopaint-serve serve` starts it here; --url or IOPAINT_URL names another.",
    Unauthorized: "Give the service's key as --api-key or IOPAINT_API_KEY.",
}


class Failing(TyperGroup):
    """Expected failures become one sentence on stderr and exit code 1; bugs keep their trace."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (TextRemovalClientError, TextRemovalError, OSError) as error:
            err().print(Text.assemble(("Error:", "bold red"), f" {error}"), soft_wrap=True)
            for kind, advice in _ADVICE.items():
                if isinstance(error, kind):
                    err().print(advice, soft_wrap=True)
            ctx.exit(1)
