"""``scripts/docs``: writes what ``docs`` repeats of the code. ``--check`` only compares, as a test does."""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import ingress.app
from deployments.metrics import METRICS
from ingress.errors import STATUS
from ingress.settings import Settings
from models.errors import TextRemovalError

_DOCS = Path(__file__).parent.parent / "docs"
_SUFFIX = {"counter": "_total", "gauge": "", "histogram": "_bucket, _sum, _count"}


def settings_table() -> str:
    rows = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown = str(default).lower() if isinstance(default, bool) else "" if default is None else str(default)
        rows.append(f"| `{name.upper()}` | {f'`{shown}`' if shown else '—'} | {field.description} |")
    return "\n".join(rows)


def metrics_table() -> str:
    rows = ["| Name, after `ray_` | Kind | Labels | Meaning |", "|---|---|---|---|"]
    for name, metric in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "—"
        suffix = f" (+ `{_SUFFIX[metric.kind]}`)" if _SUFFIX[metric.kind] else ""
        rows.append(f"| `{name}`{suffix} | {metric.kind} | {labels} | {metric.description} |")
    return "\n".join(rows)


def calls_table() -> str:
    rows = ["| Call | What |", "|---|---|"]
    document = json.loads((_DOCS / "openapi.json").read_text())
    for path, operations in document["paths"].items():
        rows += [f"| `{method.upper()} {path}` | {operation['summary']} |" for method, operation in operations.items()]
    return "\n".join(rows)


def errors_table() -> str:
    assert ingress.app, "imported for the errors that its modules define"
    rows = ["| Status | `error` | Meaning |", "|---|---|---|"]
    meanings = {cls.code: _sentence(cls) for cls in reversed(_family())}
    for code, status in STATUS.items():
        meaning = "A fault of ours; the log has the cause." if code == "internal_error" else meanings[code]
        rows.append(f"| {status} | `{code}` | {meaning or '—'} |")
    return "\n".join(rows)


def _sentence(error: type[TextRemovalError]) -> str:
    """For clients: what is said of ``details`` is not for them."""
    first = (error.__doc__ or "").split("\n")[0].replace("``", "`")
    return re.sub(r"; `details.*", ".", first)


def _family(root: type[TextRemovalError] = TextRemovalError) -> list[type[TextRemovalError]]:
    return [root, *(cls for child in root.__subclasses__() for cls in _family(child))]


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "configuration.md": {"settings": settings_table},
    "operations.md": {"metrics": metrics_table},
    "api.md": {"calls": calls_table, "errors": errors_table},
}


def written(text: str, part: str, table: str) -> str:
    """The text with what stands between the part's two marks replaced."""
    begin, end = f"<!-- {part}: written by scripts/docs -->", f"<!-- end of {part} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"The marks of {part} are not there once.")
    return pattern.sub(lambda _: f"{begin}\n\n{table}\n\n{end}", text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/docs", description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    stale = []
    for name, parts in PARTS.items():
        path = _DOCS / name
        before = after = path.read_text()
        for part, table in parts.items():
            after = written(after, part, table())
        if after != before:
            stale.append(name)
            if not check:
                path.write_text(after)
    if check and stale:
        print(f"Not in step with the code: {', '.join(stale)}. Run scripts/docs.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
