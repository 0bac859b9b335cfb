"""``scripts/audit``: known holes in the packages of ``constraints.txt``, and what to do about each.

Status 1 only for what can be mended here: a version without the hole exists, and nothing holds the package back. What
IOPaint holds back, and what nobody has mended yet, is reported with what to judge; so is, and no more, that there were
no advisories to be had. An advisory that was judged is named below with the package, its version and the reason;
another version, and another advisory of the same one, are new.
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
_NOTHING = "nothing yet"
_CANARY = "pillow==9.5.0"
"""Has holes that every source of advisories knows: where none is found, there were no advisories."""


_PATIENCE_S = 600


class NoAdvisories(Exception):
    """Nothing can be said: the service does not answer, or not in full."""


@dataclass(frozen=True)
class Accepted:
    why: str
    advisories: frozenset[str] = frozenset()
    """By any of their names (CVE, PYSEC, GHSA)."""


HELD = {"transformers", "diffusers", "huggingface-hub"}
"""IOPaint 1.6.0 works with these versions only: raising one means leaving it."""
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

    @property
    def can_be_mended(self) -> bool:
        return self.fixed_in != _NOTHING and self.package.partition("==")[0] not in HELD

    @property
    def advice(self) -> str:
        """What to do about a new one."""
        name, _, version = self.package.partition("==")
        judge = f'judge whether a client can reach it, then name {self.advisory} with the reason under "{self.package}"'
        if self.can_be_mended:
            return f"raise {name} from {version} to {self.fixed_in} in constraints.txt, then scripts/test."
        if name in HELD:
            return f"IOPaint 1.6.0 needs {self.package}: {judge} in ACCEPTED (drills/audit.py)."
        return f"nobody has mended it: {judge} in ACCEPTED (drills/audit.py), or do without {name}."


def findings(pip_audit_json: str) -> list[Finding]:
    return [
        Finding(
            f"{package['name'].lower().replace('_', '-')}=={package['version']}",
            hole["id"],
            ", ".join(hole.get("fix_versions", [])) or _NOTHING,
            hole.get("description", "").partition("\n")[0][:200],
            frozenset([hole["id"], *hole.get("aliases", [])]),
        )
        for package in json.loads(pip_audit_json)["dependencies"]
        for hole in package.get("vulns", [])
    ]


def new(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if not finding.is_accepted]


def ask(tool: Path, requirements: str, options: list[str]) -> str:
    """pip-audit's JSON. Raises ``NoAdvisories``."""
    with tempfile.TemporaryDirectory(prefix="audit-") as name:
        path = Path(name) / "requirements.txt"
        path.write_text(requirements)
        command = [str(tool), "--requirement", str(path), "--no-deps", "--disable-pip", "--format", "json", "--desc",
                   "--progress-spinner", "off", "--timeout", "15", *options]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoAdvisories(f"{type(error).__name__}: {error}") from error
    if not done.stdout.startswith("{"):
        raise NoAdvisories((done.stderr.strip().splitlines() or ["pip-audit says nothing"])[-1])
    return done.stdout


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/audit", description=__doc__)
    parser.add_argument("--tool", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--osv-url", help="ask this service in OSV's format; PyPI if not given")
    given = parser.parse_args(arguments)
    options = ["--vulnerability-service", "osv", "--osv-url", given.osv_url] if given.osv_url else []
    console = Console(width=120, highlight=False, markup=False)
    try:
        if not findings(ask(given.tool, _CANARY, options)):
            raise NoAdvisories(f"none is known for {_CANARY}, which has many")
        found = findings(ask(given.tool, (_ROOT / "constraints.txt").read_text(), options))
    except NoAdvisories as reason:
        console.print(f"NOT AUDITED: no advisories can be had from here ({reason}). Run scripts/audit where they can.")
        return 0
    for finding in found:
        state = "accepted" if finding.is_accepted else "NEW"
        console.print(f"{state}: {finding.package} {finding.advisory}, mended in {finding.fixed_in}: {finding.text}")
        if not finding.is_accepted:
            console.print(f"  What to do: {finding.advice}")
    for package in sorted({finding.package for finding in found} & ACCEPTED.keys()):
        console.print(f"{package} stays: {ACCEPTED[package].why}")
    unjudged = new(found)
    mendable = [finding for finding in unjudged if finding.can_be_mended]
    console.print(f"{len(found)} known holes: {len(unjudged)} new, {len(mendable)} of them to be mended here.")
    return 1 if mendable else 0


if __name__ == "__main__":
    sys.exit(main())
