"""The audit of dependencies: what is accepted is what is installed, anything else is reported with what to do."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from drills.audit import ACCEPTED, HELD, findings, new
from tests.support.network import tell_json
from tests.support.service import free_port

ROOT = Path(__file__).parents[3]
PINS = dict(
    line.split(" ")[0].strip().lower().split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line and not line.startswith((" ", "#"))
)


def answer(name: str, version: str, *names: str, fixed: str = "99") -> str:
    hole = {"id": names[0], "aliases": list(names[1:]), "fix_versions": [fixed] * bool(fixed), "description": "Bad."}
    clean = {"name": "clean", "version": "1", "vulns": []}
    return json.dumps(
        {"dependencies": [clean, {"name": name, "version": version, "vulns": [hole]}, {"name": "skipped"}]}
    )


def test_what_is_accepted_and_held_is_pinned_so() -> None:
    assert {package for package in ACCEPTED if PINS.get(package.split("==")[0]) == package.split("==")[1]} == set(
        ACCEPTED
    ), "an accepted version is no longer the one in use"
    assert PINS.keys() >= HELD


def test_what_was_judged_is_accepted_by_any_of_its_names_and_all_else_is_new() -> None:
    (known,) = findings(answer("transformers", "4.48.3", "GHSA-1", "CVE-2025-6638"))
    assert new([known]) == []
    (later,) = findings(answer("transformers", "4.48.4", "GHSA-1", "CVE-2025-6638"))
    (another,) = findings(answer("transformers", "4.48.3", "CVE-2099-1"))
    (other,) = findings(answer("pillow", "9.5.0", "CVE-2025-6638"))
    assert new([later, another, other]) == [later, another, other]
    assert other.fixed_in == "99"


def test_only_what_can_be_mended_here_is_a_failure_and_all_say_what_to_do() -> None:
    (ours,) = findings(answer("pillow", "12.0.0", "CVE-1", fixed="12.0.1"))
    (held,) = findings(answer("transformers", "4.48.3", "CVE-2"))
    (nobodys,) = findings(answer("pillow", "12.0.0", "CVE-3", fixed=""))
    assert [one.can_be_mended for one in (ours, held, nobodys)] == [True, False, False]
    assert "raise pillow from 12.0.0 to 12.0.1" in ours.advice
    assert "IOPaint" in held.advice
    for one in (held, nobodys):
        assert one.advisory in one.advice
        assert "ACCEPTED" in one.advice


class Osv(BaseHTTPRequestHandler):
    """OSV's `POST /v1/query`, with these holes: package -> (advisory, mended in)."""

    holes: ClassVar[dict[str, tuple[str, str]]] = {}
    breaks_at = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        if name == self.breaks_at:
            self.send_error(503)
            return
        found: dict[str, Any] = {}
        if name in self.holes or (name, asked["version"]) == ("pillow", "9.5.0"):
            advisory, fixed = self.holes.get(name, ("PYSEC-2023-175", "10.0.1"))
            events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
            ranges = [{"type": "ECOSYSTEM", "events": events}]
            affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
            hole = {"id": advisory, "details": "A hole.", "aliases": [], "affected": affected}
            found = {"vulns": [hole | {"published": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z"}]}
        body = json.dumps(found).encode()
        tell_json(self, body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def advisories(holes: dict[str, tuple[str, str]], breaks_at: str = "") -> Iterator[str]:
    handler = type("Handler", (Osv,), {"holes": holes, "breaks_at": breaks_at})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audit(url: str) -> tuple[int, str]:
    done = subprocess.run(
        [ROOT / "scripts/audit", "--osv-url", url], capture_output=True, text=True, timeout=240, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("holes", "status", "said"),
    [
        ({"aiohttp": ("GHSA-x", "99.1")}, 1, ["raise aiohttp from", "to 99.1 in constraints.txt"]),
        (
            {"transformers": ("PYSEC-2025-40", "99.2"), "diffusers": ("GHSA-y", "99.2"), "aiohttp": ("GHSA-z", "")},
            0,
            ["accepted: transformers", "IOPaint 1.6.0 needs diffusers", "nobody has mended it", "2 new, 0 of them"],
        ),
    ],
)
def test_with_a_service_of_advisories(holes: dict[str, tuple[str, str]], status: int, said: list[str]) -> None:
    """The real pip-audit, which asks a service in OSV's format about all that is pinned."""
    with advisories(holes) as url:
        ended, told = audit(url)
    assert ended == status, told
    for words in said:
        assert words in told.replace("\n", " "), told
    assert "NOT AUDITED" not in told


def test_without_advisories_it_says_so_and_is_no_failure() -> None:
    with advisories({}, breaks_at="aiohttp") as url:
        status, told = audit(url)
    assert (status, told.split(":")[0]) == (0, "NOT AUDITED")
    status, told = audit(f"http://127.0.0.1:{free_port()}/v1/query")
    assert (status, told.split(":")[0]) == (0, "NOT AUDITED")
