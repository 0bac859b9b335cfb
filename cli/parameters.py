"""Parameters of a call as typed: ``NAME=VALUE``, by the service's own names."""

import json
from collections.abc import Mapping
from typing import Any, get_type_hints

import typer
from iopaint_client import WorkOptions
from pydantic import TypeAdapter, ValidationError

from cli import regions

_AREAS = ("include", "exclude")


def parse(given: list[str] | None, kind: type[Mapping[str, Any]] = WorkOptions) -> dict[str, Any]:
    """``kind``: the options that the call takes. Raises ``typer.BadParameter``."""
    hints = get_type_hints(kind)
    return dict(_one(text, hints) for text in given or ())


def _one(text: str, hints: Mapping[str, Any]) -> tuple[str, Any]:
    name, is_there, value = text.partition("=")
    if not is_there or name not in hints:
        raise typer.BadParameter(f"{text!r}: NAME=VALUE is expected, with one of {', '.join(sorted(hints))}")
    if name in _AREAS:
        return name, regions.listed(name, _json(name, value))
    try:
        return name, TypeAdapter(hints[name]).validate_strings(value)
    except ValidationError as error:
        raise typer.BadParameter(f"{text!r}: {error.errors()[0]['msg']}") from error


def _json(name: str, value: str) -> object:
    try:
        return json.loads(value)
    except ValueError as error:
        raise typer.BadParameter(f"{name}: a JSON list of regions is expected: {error}") from error
