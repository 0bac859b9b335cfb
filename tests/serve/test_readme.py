"""The README's examples run as printed, against a live service; only the port and the output's name differ."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.service import ROOT, Service


@pytest.mark.parametrize(
    ("language", "suffix", "command"),
    [("bash", "sh", ["bash"]), ("python", "py", [sys.executable]), ("javascript", "mjs", ["node"])],
)
def test_example(service: Service, tmp_path: Path, language: str, suffix: str, command: list[str]) -> None:
    (code,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    out = tmp_path / "clean.png"
    script = tmp_path / f"example.{suffix}"
    script.write_text(code.replace("http://localhost:8081", service.url).replace("clean.png", str(out)))
    run = subprocess.run([*command, str(script)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    before = np.asarray(Image.open(ROOT / "docs/images/before.jpg"))
    after = np.asarray(Image.open(out))
    changed = (before != after).any(axis=2)
    assert changed[72:129, 65:507].mean() > 0.5
    changed[72:129, 65:507] = False
    assert not changed.any()
