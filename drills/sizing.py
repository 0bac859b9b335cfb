"""``scripts/loadtest --sizes``: what one replica does in a second, by engine and picture, on this machine's CPUs.

``lama`` has the published architecture with weights drawn by lot: the time of a pass does not depend on them.
"""

import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from drills import load
from drills.traffic import request_body
from tests.support import lama
from tests.support.pictures import encoded, photo

_CLIENTS = 4
_PICTURES = {"1 line, 640 x 480": (640, 480, 1), "6 lines, 1920 x 1080": (1920, 1080, 6)}
_ENGINES = ("cv2", "classic", "lama")


def body(width: int, height: int, lines: int, engine: str) -> dict[str, Any]:
    """A JPEG, as cameras and screens send them, with lines of text all over it."""
    regions = [
        {
            "x": width * (0.05 + 0.5 * (n % 2)),
            "y": height * (0.1 + 0.3 * (n // 2)),
            "width": 0.35 * width,
            "height": 40.0,
        }
        for n in range(lines)
    ]
    return request_body(encoded(photo(width, height), "JPEG", quality=90), regions, engine)


def main(tools: Path, seconds: int, console: Console) -> int:
    table = Table("engine", "picture", "pictures a second", "ms: median, 95 %", title="One replica, on the CPU")
    with tempfile.TemporaryDirectory(prefix="sizes-") as name, load.cluster(Path(name)) as running:
        folder = Path(name)
        lama.save(folder / "big-lama.pt")
        one = {"autoscaling_config": {"min_replicas": 1, "max_replicas": 1}}
        arguments = {
            "iopaint_model": "lama", "iopaint_models": ",".join(_ENGINES), "model_dir": str(folder),
            "log_level": "WARNING",
        }  # fmt: skip
        running.deploy_file("serve_config.yaml", arguments, one)
        running.wait_for(1)
        for engine in _ENGINES:
            for picture, (width, height, lines) in _PICTURES.items():
                sent = body(width, height, lines, engine)
                found = load.rate(tools, folder, running.url, _CLIENTS, seconds, sent)
                table.add_row(engine, picture, f"{found['Requests/s']:.2f}", f"{found['50%']:.0f}, {found['95%']:.0f}")
    console.print(table)
    return 0
