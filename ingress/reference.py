"""``scripts/docs``: writes what ``docs`` repeats of the code. ``--check`` only compares, as a test does."""

import argparse
import re
import sys
from pathlib import Path

from deployments.metrics import METRICS
from ingress.settings import Settings

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


PARTS = {"configuration.md": ("settings", settings_table), "operations.md": ("metrics", metrics_table)}


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
    for name, (part, table) in PARTS.items():
        path = _DOCS / name
        before = path.read_text()
        after = written(before, part, table())
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
