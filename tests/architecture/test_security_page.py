"""Every promise of `docs/security.md` names tests that exist."""

import ast
import re
from pathlib import Path

from ingress.schemas.responses import LimitsBody

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_named_test_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 20
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        found = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in found, f"{path}::{name}"


def test_every_promise_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| Limit"))]
    assert rows.pop(0).startswith("| Promise")
    assert all("::" in row for row in rows)


def test_every_limit_that_info_states_is_on_the_page_with_its_test() -> None:
    named = re.findall(r"^\| `(\w+)` \| .*`tests/[\w/]+\.py::\w+`", PAGE, re.MULTILINE)
    assert sorted(named) == sorted(LimitsBody.model_fields)
