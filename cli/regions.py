"""Regions as typed: ``x,y,width,height``, or three and more corners ``x,y x,y x,y``."""

import json
from pathlib import Path

import typer
from iopaint_client import Polygon, Rect, RegionInput
from iopaint_client.regions import to_wire


def parse(text: str) -> RegionInput:
    """Raises ``typer.BadParameter``."""
    try:
        corners = [tuple(float(number) for number in corner.split(",")) for corner in text.split()]
        if len(corners) == 1:
            x, y, width, height = corners[0]
            return Rect(x, y, width, height)
        if len(corners) >= 3:
            return Polygon([(x, y) for x, y in corners])
    except ValueError:
        pass
    raise typer.BadParameter(f"{text!r} is neither 'x,y,width,height' nor 'x,y x,y x,y ...' (pixels)")


def from_file(path: Path) -> dict[str, list[RegionInput]]:
    """A JSON object: file name to a list of regions as the service takes them. Raises ``typer.BadParameter``."""
    try:
        told = json.loads(path.read_text())
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from error
    if not isinstance(told, dict):
        raise typer.BadParameter(f"{path}: an object of file names and lists of regions is expected")
    return {name: listed(f"{path}: {name}", regions) for name, regions in told.items()}


def listed(what: str, told: object) -> list[RegionInput]:
    """Regions as the service takes them, from JSON. Raises ``typer.BadParameter``."""
    try:
        if isinstance(told, list):
            return [*to_wire(told)]
    except TypeError:
        pass
    raise typer.BadParameter(f"{what}: a JSON list of regions is expected")
