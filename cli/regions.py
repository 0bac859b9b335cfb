"""Regions as typed: ``x,y,width,height``, or three and more corners ``x,y x,y x,y``."""

import json
from pathlib import Path

import typer
from iopaint_client import Polygon, Rect, RegionInput


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
    if not isinstance(told, dict) or not all(isinstance(regions, list) for regions in told.values()):
        raise typer.BadParameter(f"{path}: an object of file names and lists of regions is expected")
    return told
