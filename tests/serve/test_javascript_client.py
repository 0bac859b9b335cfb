"""The JavaScript client: its own tests, and the same against the real service. Node runs them."""

import os
import shutil
import subprocess

import pytest

from tests.support.service import ROOT, Service

CLIENT = ROOT / "clients" / "js"


def run_node(*arguments: str, **environment: str) -> str:
    if shutil.which("node") is None:
        pytest.fail("The JavaScript client's tests need Node 20 or later; there is no `node` on the path.")
    run = subprocess.run(
        ["node", *arguments],
        cwd=CLIENT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_client_alone() -> None:
    assert "# fail 0" in run_node("--test", "test/client.test.js", "test/waiting.test.js")


def test_the_client_against_the_service(service: Service) -> None:
    # Node 20 has its WebSocket behind this flag, later ones know it still.
    shown = run_node("--experimental-websocket", "--test", "test/live/service.js", SERVICE_URL=service.url)
    assert "# fail 0" in shown
