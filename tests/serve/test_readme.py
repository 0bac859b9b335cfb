"""The examples of the READMEs and of docs/ run as printed, against a live service; only the port and the output's name
differ. Those of clients/python/README.md: test_python_client.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.service import ROOT, Service

_RUN = {"bash": ("sh", ["bash"]), "python": ("py", [sys.executable]), "javascript": ("mjs", ["node"])}
PAGES = {
    "README.md": ["bash", "python", "javascript"] * 2,
    "docs/index.md": ["bash"],
    "clients/js/README.md": ["javascript"] * 2,
}
EXAMPLES = [
    (page, *found)
    for page in PAGES
    for found in re.findall(r"```(bash|python|javascript)\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
]


def test_there_are_examples_of_the_plain_call_and_of_each_client() -> None:
    assert [(page, language) for page, language, _ in EXAMPLES] == [
        (page, language) for page, languages in PAGES.items() for language in languages
    ]


@pytest.mark.parametrize(("page", "language", "code"), EXAMPLES)
def test_example(service: Service, tmp_path: Path, page: str, language: str, code: str) -> None:
    suffix, command = _RUN[language]
    out = tmp_path / "clean.png"
    script = tmp_path / f"example.{suffix}"
    script.write_text(code.replace("http://localhost:8081", service.url).replace("clean.png", str(out)))
    # As if the clients had been installed as the README says.
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "iopaint-client").symlink_to(ROOT / "clients" / "js")
    installed = {"PYTHONPATH": str(ROOT / "clients/python/src"), "IOPAINT_URL": service.url}
    run = subprocess.run(
        [*command, str(script)],
        cwd=ROOT,
        env=os.environ | installed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, page + run.stderr
    changed = _changed(out)
    assert changed[72:129, 65:507].mean() > 0.5
    changed[72:129, 65:507] = False
    assert not changed.any()


@pytest.mark.parametrize("page", ["README.md", "docs/text.md"])
def test_text_needs_no_regions(service: Service, tmp_path: Path, page: str) -> None:
    (code,) = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    out = tmp_path / "clean.png"
    command = code.replace("http://localhost:8081", service.url).replace("clean.png", str(out))
    run = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    changed = _changed(out)
    lines = [(72, 129, 65, 507), (140, 180, 72, 360), (470, 500, 600, 840)]
    if page == "docs/text.md":
        top, bottom, left, right = lines.pop(0)
        assert not changed[top:bottom, left:right].any(), "it is excluded"
    for top, bottom, left, right in lines:
        assert changed[top:bottom, left:right].mean() > 0.5
    assert not changed[230:440].any()


def _changed(out: Path) -> NDArray[np.bool_]:
    before = np.asarray(Image.open(ROOT / "docs/images/before.jpg"))
    changed: NDArray[np.bool_] = (before != np.asarray(Image.open(out))).any(axis=2)
    return changed
