"""JSON is refused by its shape before it is parsed: brackets and commas cost memory, base64 text has none of them."""

import codecs
import re
from typing import Any

import pydantic_core

from ingress.config import AppConfig
from ingress.errors import UnreadableBody

_FIELDS = 200
"""Commas and brackets of one request besides its regions: more than it has fields."""
_VALUE_BYTES = 32
_PROMPTS_BYTES = 2**18
"""Of one request: twice 10,000 characters, each of them two escapes."""
_LONG = 65_536
_WIDE_ESCAPE = re.compile(rb"\\u(?!00)")


def parse(body: bytes, config: AppConfig, items: int = 1) -> Any:
    """Raises ``UnreadableBody``, also when there is more in it than ``items`` requests may hold."""
    # A corner is `[x,y],`: three; a rectangle has four fields and a bracket; a polygon brings two brackets more.
    most = items * (_FIELDS + 8 * config.max_regions) + 3 * config.max_polygon_points * min(items, 10)
    if body.count(b",") + body.count(b"[") + body.count(b"{") > most:
        raise UnreadableBody(
            f"The JSON has too many values: at most {config.max_regions} regions with "
            f"{config.max_polygon_points} corners together are allowed."
        )
    text = _VALUE_BYTES * most + _PROMPTS_BYTES * items
    if len(body) > text and _is_wide(body, 0, len(body)) and _text_bytes(body) > text:
        raise UnreadableBody(
            f"The JSON has too much text besides its files: at most {text} bytes are allowed where characters are "
            "beyond Latin-1. Leave out fields that are not known here."
        )
    try:
        # A tenth of the standard library's time, and it holds the interpreter: of a large picture, 2 ms for 20.
        parsed = pydantic_core.from_json(body.removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError as error:
        raise UnreadableBody("The body is not valid JSON.") from error
    check_depth(parsed, config.max_json_depth)
    return parsed


def _text_bytes(body: bytes) -> int:
    """Of it, without long strings that Python keeps in a byte a character, as it does base64 beside any prompt."""
    rest, end = len(body), 0
    while (at := end + _LONG) < len(body):
        start, end = body.rfind(b'"', end, at), body.find(b'"', at)
        if end < 0:
            break
        # Between quotes that a backslash precedes there may be a piece of a string, of which the rest is wide.
        whole = start >= 0 and b"\\" not in (body[start - 1 : start], body[end - 1 : end])
        if whole and not _is_wide(body, start, end):
            rest -= end - start
    return rest


def _is_wide(body: bytes, start: int, end: int) -> bool:
    """Whether a character is beyond Latin-1, as it is or escaped: its whole string takes two or four bytes for each."""
    escape = body.find(b"\\", start, end)
    if escape >= 0 and _WIDE_ESCAPE.search(body, escape, end):
        return True
    return not all(body[at : min(at + _LONG, end)].isascii() for at in range(start, end, _LONG))


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
