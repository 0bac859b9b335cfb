"""``scripts/setup`` completes what broke off, begins anew where the folder was moved, and is quick otherwise.

What tests install on a new machine is installed once, whichever of them come first.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """#!/usr/bin/env bash
# In the place of Python: makes an environment whose tools do nothing, and tells that it did.
if [[ $1 == -m ]]; then
  echo "$*" >> "$CALLS"
  mkdir -p .venv/bin
  for name in python pip uv; do
    printf '#!/bin/sh\\n# #!%s/.venv/bin/python\\n' "$PWD" > .venv/bin/$name
    chmod +x .venv/bin/$name
  done
fi
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkout"
    for name in ("scripts/setup", "scripts/pip_settings", "pyproject.toml", "constraints.txt"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, made / name)
    return made


def setup(folder: Path) -> list[str]:
    """What Python was asked for."""
    tools, calls = folder.parent / "tools", folder.parent / "calls"
    tools.mkdir(exist_ok=True)
    (tools / "python3.11").write_text(PYTHON)
    (tools / "python3.11").chmod(0o755)
    calls.write_text("")
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "CALLS": str(calls)}
    done = subprocess.run([folder / "scripts" / "setup"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return calls.read_text().splitlines()


def test_a_first_run_that_broke_off_is_completed(folder: Path) -> None:
    """Python is there early, pip last."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").write_text("#!/bin/sh\n")
    (folder / ".venv" / "bin" / "python").chmod(0o755)
    assert setup(folder) == ["-m venv --clear .venv"]
    assert setup(folder) == [], "nothing has changed"
    (folder / "constraints.txt").write_text("")
    assert setup(folder) == [], "what is there is updated"


def test_a_folder_that_was_moved_gets_a_new_one(folder: Path) -> None:
    """The scripts of an environment name the place where it was made."""
    setup(folder)
    moved = folder.rename(folder.parent / "elsewhere")
    assert setup(moved) == ["-m venv --clear .venv"]
    assert setup(moved) == []


APT = """#!/usr/bin/env bash
# In the place of apt-get: one at a time, slowly, and the browser is there before it can be used.
mkdir "$BUSY" || { echo "E: Could not get lock" >&2; exit 100; }
echo "$*" >> "$CALLS"
[[ $1 != install ]] || { printf '#!/bin/sh\\nexit 1\\n' > "$TOOLS/chromium"; chmod +x "$TOOLS/chromium"; }
sleep 0.3
rmdir "$BUSY"
"""


def test_two_tests_that_need_the_browser_install_it_once(tmp_path: Path) -> None:
    tools, calls = tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    for name in ("bash", "env", "mkdir", "rmdir", "sleep", "chmod", "flock"):
        (tools / name).symlink_to(shutil.which(name) or name)
    for name, text in {"apt-get": APT, "id": "#!/bin/sh\necho 0\n"}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    environment = {"PATH": str(tools), "TOOLS": str(tools), "CALLS": str(calls), "BUSY": str(tmp_path / "busy")}
    command = [ROOT / "scripts" / "setup_browser"]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(one.communicate()[0], one.returncode) for one in both] == [(f"{tools}/chromium\n", 0)] * 2
    assert [line.split()[0] for line in calls.read_text().splitlines()] == ["update", "install"]
