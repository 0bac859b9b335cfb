"""The documentation is in step with the code, and builds without a warning."""

import os
import subprocess
import sys
from pathlib import Path

from ingress import reference

ROOT = Path(__file__).parents[2]


def test_tables_say_what_the_code_says() -> None:
    assert reference.main(["--check"]) == 0


def test_a_stale_table_is_noticed() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    stale = text.replace("Longest side, in pixels", "Longest side, in miles")
    assert stale != text
    assert reference.written(stale, "settings", reference.settings_table()) == text


def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = dict(os.environ) | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "operations" / "index.html").is_file()
