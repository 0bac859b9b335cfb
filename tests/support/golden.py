"""Wire JSON compared with a file in ``tests/golden``. ``UPDATE_GOLDEN=1`` writes the files anew: look at the diff."""

import json
import os
import re
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[1] / "golden"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")
_ID = re.compile(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}-[0-9a-f-]{27}\b")
_VARYING = {"elapsed_time"}


def check(name: str, value: Any) -> None:
    path = _FOLDER / f"{name}.json"
    text = json.dumps(_normalised(value), indent=2) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text


def _normalised(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "<seconds>" if k in _VARYING and v is not None else _normalised(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_normalised(item) for item in value]
    return _ID.sub("<id>", _TIME.sub("<time>", value)) if isinstance(value, str) else value
