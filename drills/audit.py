"""``scripts/audit``: known holes in the packages of ``constraints.txt``.

A package that stays although holes are known is named below with its version, the reason, and each advisory that was
judged. Another version, and another advisory of the same one, are new.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

_ROOT = Path(__file__).parents[1]
_CANARY = "pillow==9.5.0"
"""Has holes that every source of advisories knows: where none is found, there were no advisories."""


@dataclass(frozen=True)
class Accepted:
    why: str
    advisories: frozenset[str] = frozenset()
    """By any of their names (CVE, PYSEC, GHSA)."""


ACCEPTED = {
    "transformers==4.48.3": Accepted(
        "IOPaint 1.6.0's diffusers needs it. Models are the operator's; no client names one; what a client sends is a "
        "prompt for CLIP's tokenizer. The advisories concern other models' tokenizers, tests, remote code and URLs of "
        "pictures, none of which is called here.",
        frozenset(
            {
                "PYSEC-2025-40",
                "CVE-2025-1194",
                "CVE-2025-3263",
                "CVE-2025-3264",
                "CVE-2025-3777",
                "CVE-2025-3933",
                "CVE-2025-5197",
                "CVE-2025-6051",
                "CVE-2025-6638",
                "CVE-2025-6921",
            }
        ),
    ),
    "diffusers==0.27.2": Accepted(
        "IOPaint 1.6.0 is written against it. Pipelines are the operator's; clients choose among IOPAINT_MODELS only."
    ),
    "huggingface-hub==0.25.2": Accepted(
        "The newest that this diffusers imports. Clients name no files and no repositories."
    ),
}


@dataclass(frozen=True)
class Finding:
    package: str
    """``name==version``."""
    advisory: str
    fixed_in: str
    text: str
    names: frozenset[str]
    """Of the advisory, in all lists."""

    @property
    def is_accepted(self) -> bool:
        accepted = ACCEPTED.get(self.package)
        return accepted is not None and bool(accepted.advisories & self.names)


def findings(pip_audit_json: str) -> list[Finding]:
    return [
        Finding(
            f"{package['name'].lower().replace('_', '-')}=={package['version']}",
            hole["id"],
            ", ".join(hole.get("fix_versions", [])) or "nothing yet",
            hole.get("description", "").partition("\n")[0][:200],
            frozenset([hole["id"], *hole.get("aliases", [])]),
        )
        for package in json.loads(pip_audit_json)["dependencies"]
        for hole in package.get("vulns", [])
    ]


def new(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if not finding.is_accepted]


def ask(tool: Path, requirements: str) -> str | None:
    """pip-audit's JSON; None where it failed."""
    with tempfile.TemporaryDirectory(prefix="audit-") as name:
        path = Path(name) / "requirements.txt"
        path.write_text(requirements)
        done = subprocess.run(
            [str(tool), "--requirement", str(path), "--no-deps", "--disable-pip", "--format", "json", "--desc",
             "--progress-spinner", "off", "--timeout", "15"],
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        return done.stdout if done.stdout.startswith("{") else None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/audit", description=__doc__)
    parser.add_argument("--tool", type=Path, required=True, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    console = Console(width=120, highlight=False)
    canary = ask(given.tool, _CANARY)
    if canary is None or not findings(canary):
        console.print("NOT AUDITED: no advisories can be had from here (PyPI's JSON API does not answer).")
        return 0
    answer = ask(given.tool, (_ROOT / "constraints.txt").read_text())
    if answer is None:
        console.print("pip-audit could not read constraints.txt.")
        return 2
    found = findings(answer)
    for finding in found:
        state = "accepted" if finding.is_accepted else "NEW"
        console.print(f"{state}: {finding.package} {finding.advisory}, mended in {finding.fixed_in}: {finding.text}")
    for package in sorted({finding.package for finding in found} & ACCEPTED.keys()):
        console.print(f"{package} stays: {ACCEPTED[package].why}")
    count = len(new(found))
    console.print(f"{len(found)} known holes, {count} of them new.")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
