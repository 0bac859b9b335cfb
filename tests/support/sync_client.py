"""``clients/python``: the blocking client, made from the one for asyncio."""

import subprocess
import sys
import tempfile
from pathlib import Path

import unasync

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "clients" / "python" / "src" / "iopaint_client"
FILES = ("client.py", "tasks.py", "transport.py")
_HEAD = "# Made from ../aio by scripts/sync_client: change it there.\n"
_NAMES = {"Async" + name: name for name in ("Client", "Task", "Batch", "Transport")} | {
    "aio": "sync", "aclose": "close", "aread": "read", "aiter_bytes": "iter_bytes",
}  # fmt: skip


def made() -> dict[Path, str]:
    """What belongs into each file of the blocking client."""
    with tempfile.TemporaryDirectory() as folder:
        rule = unasync.Rule(f"{SOURCE}/aio/", f"{folder}/", additional_replacements=_NAMES)
        unasync.unasync_files([str(SOURCE / "aio" / name) for name in FILES], [rule])
        plain = {SOURCE / "sync" / name: _HEAD + (Path(folder) / name).read_text() for name in FILES}
    return {path: _tidied(path, text) for path, text in plain.items()}


def _tidied(path: Path, text: str) -> str:
    for command in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return text


if __name__ == "__main__":
    for target, content in made().items():
        target.write_text(content)
