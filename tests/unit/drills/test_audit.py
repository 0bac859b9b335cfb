"""The audit of dependencies: what is accepted is what is installed, and anything else is new."""

import json
from pathlib import Path

from drills.audit import ACCEPTED, findings, new

ROOT = Path(__file__).parents[3]


def answer(name: str, version: str) -> str:
    hole = {"id": "PYSEC-1", "fix_versions": ["99"], "description": "Bad.\nMore."}
    clean = {"name": "clean", "version": "1", "vulns": []}
    return json.dumps(
        {"dependencies": [clean, {"name": name, "version": version, "vulns": [hole]}, {"name": "skipped"}]}
    )


def test_what_is_accepted_is_pinned_so() -> None:
    pins = {line.split(" ")[0].strip().lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert ACCEPTED.keys() <= pins, "an accepted version is no longer the one in use"


def test_another_version_or_package_is_new() -> None:
    (known,) = findings(answer("huggingface_hub", "0.25.2"))
    assert new([known]) == []
    (later,) = findings(answer("huggingface_hub", "0.25.3"))
    (other,) = findings(answer("pillow", "9.5.0"))
    assert new([later, other]) == [later, other]
    assert other.fixed_in == "99"
