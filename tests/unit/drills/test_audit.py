"""The audit of dependencies: what is accepted is what is installed, and anything else is new."""

import json
from pathlib import Path

from drills.audit import ACCEPTED, findings, new

ROOT = Path(__file__).parents[3]


def answer(name: str, version: str, *names: str) -> str:
    hole = {"id": names[0], "aliases": list(names[1:]), "fix_versions": ["99"], "description": "Bad.\nMore."}
    clean = {"name": "clean", "version": "1", "vulns": []}
    return json.dumps(
        {"dependencies": [clean, {"name": name, "version": version, "vulns": [hole]}, {"name": "skipped"}]}
    )


def test_what_is_accepted_is_pinned_so() -> None:
    pins = {line.split(" ")[0].strip().lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert ACCEPTED.keys() <= pins, "an accepted version is no longer the one in use"


def test_what_was_judged_is_accepted_by_any_of_its_names_and_all_else_is_new() -> None:
    (known,) = findings(answer("transformers", "4.48.3", "GHSA-1", "CVE-2025-6638"))
    assert new([known]) == []
    (later,) = findings(answer("transformers", "4.48.4", "GHSA-1", "CVE-2025-6638"))
    (another,) = findings(answer("transformers", "4.48.3", "CVE-2099-1"))
    (other,) = findings(answer("pillow", "9.5.0", "CVE-2025-6638"))
    assert new([later, another, other]) == [later, another, other]
    assert other.fixed_in == "99"
