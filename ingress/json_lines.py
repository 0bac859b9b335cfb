"""What Ray prints of its processes' lines, as one JSON object a line: for `docker logs` and what reads them."""

import json
import re
from datetime import UTC, datetime

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PROCESS = re.compile(r"^\((?P<name>[^()]*?) pid=\d+[^()]*\) ")
"""Ray's word on whose line it is: ``(ServeReplica:iopaint:Ingress pid=7) ...``."""
_LEVEL = re.compile(r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")


def as_object(line: str, component: str = "ray") -> str:
    """The object that the line is, or one with the line as its ``message``; empty for an empty line."""
    text = _COLOUR.sub("", line).strip()
    if found := _PROCESS.match(text):
        component, text = found["name"], text[found.end() :]
    if not text or (text.startswith("{") and _is_object(text)):
        return text
    level = _LEVEL.search(text[:60])
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    said = {"time": at, "level": level[1] if level else "INFO", "component": component, "message": text}
    return json.dumps(said, ensure_ascii=False)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
