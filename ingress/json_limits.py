"""JSON is refused by its shape before it is parsed: brackets and commas cost memory, base64 text has none of them."""

import codecs
from typing import Any

import pydantic_core

from ingress.config import AppConfig
from ingress.errors import UnreadableBody

_FIELDS = 200
"""Commas and brackets of one request besides its regions: more than it has fields."""


def parse(body: bytes, config: AppConfig, items: int = 1) -> Any:
    """Raises ``UnreadableBody``, also when there is more in it than ``items`` requests may hold."""
    # A corner is `[x,y],`: three; a rectangle has four fields and a bracket; a polygon brings two brackets more.
    most = items * (_FIELDS + 8 * config.max_regions) + 3 * config.max_polygon_points * min(items, 10)
    if body.count(b",") + body.count(b"[") + body.count(b"{") > most:
        raise UnreadableBody(
            f"The JSON has too many values: at most {config.max_regions} regions with "
            f"{config.max_polygon_points} corners together are allowed."
        )
    try:
        # A tenth of the standard library's time, and it holds the interpreter: of a large picture, 2 ms for 20.
        parsed = pydantic_core.from_json(body.removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError as error:
        raise UnreadableBody("The body is not valid JSON.") from error
    check_depth(parsed, config.max_json_depth)
    return parsed


def check_depth(parsed: object, most: int) -> None:
    """Raises ``UnreadableBody`` beyond ``most`` containers in one another."""
    level = [parsed]
    for _ in range(most):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise UnreadableBody(f"The JSON is nested too deeply: at most {most} levels are allowed.")
