"""Both servers, each on a port of its own, with the same weights file; and the same calls to both."""

import base64
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import requests

from models.geometry import Rect
from models.masks import regions_to_mask
from tests.support.lama import save
from tests.support.pictures import encoded, photo, wire
from tests.support.service import ROOT, Service, free_port, running

PRECISION = "IOPAINT_PRECISION"
"""Of the environment, the one setting that this service takes into a measurement."""
STATE = ROOT / ".state" / "benchmark"
_PATIENCE_S = 180


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture with lines marked in it, as both services take it: base64 in JSON."""

    size: int
    regions: tuple[Rect, ...]
    image: str
    mask: str


def sample(size: int, regions: int) -> Sample:
    """``size`` pixels a side; lines in two columns, their length and height a share of the picture's."""
    rows = -(-regions // 2)
    pitch = size / (rows + 1)
    height = max(8.0, min(size / 40, pitch * 0.6))
    lines = tuple(
        Rect(size * (0.08 + 0.46 * (index % 2)), pitch * (0.6 + index // 2), size * 0.35, height)
        for index in range(regions)
    )
    mask = regions_to_mask(list(lines), size, size)
    return Sample(size, lines, _text(encoded(photo(size, size))), _text(encoded(np.repeat(mask[..., None], 3, 2))))


class Server(Protocol):
    name: str

    def call(self, given: Sample, strategy: str) -> dict[str, float]:
        """Seconds: ``total`` as the client sees it, and what the answer itself tells."""
        ...

    def whole_mb(self) -> float:
        """Of all its processes; what several share counts once."""
        ...


# Its web page's own defaults, with the margin that it recommends for large pictures; the same to both.
_CROP = {"hd_strategy_crop_trigger_size": 800, "hd_strategy_crop_margin": 128}


class Ours:
    name = "this service"

    def __init__(self, service: Service) -> None:
        self.service = service

    def call(self, given: Sample, strategy: str) -> dict[str, float]:
        regions = [wire(region) for region in given.regions]
        body = {"image": given.image, "regions": regions, "hd_strategy": strategy} | _CROP
        started = time.perf_counter()
        answer = requests.post(f"{self.service.url}/api/v1/inpaint-regions", json=body, timeout=600)
        total = time.perf_counter() - started
        answer.raise_for_status()
        if answer.headers["X-Model"] != "lama":
            raise RuntimeError(f"answered by {answer.headers['X-Model']}: {self.service.health()}")
        return {"total": total, "work": float(answer.headers["X-Processing-Time"])}

    def stages(self, given: Sample, strategy: str) -> dict[str, float]:
        """As a task, whose figures say where the time went."""
        body = {"image": given.image, "regions": [wire(r) for r in given.regions], "hd_strategy": strategy}
        base = f"{self.service.url}/api/v1"
        task = requests.post(f"{base}/inpaint-regions-async", json=body, timeout=60).json()["task_id"]
        while requests.get(f"{base}/task-status/{task}", timeout=60).json()["status"] not in ("completed", "error"):
            time.sleep(0.2)
        stats = requests.get(f"{base}/tasks/{task}/stats", timeout=60).json()
        found: dict[str, float] = stats["processing_stats"]["stage_times"]
        return found

    def whole_mb(self) -> float:
        return shares_mb({self.service.process.pid, *self.service.descendants()})

    def replica_mb(self) -> float:
        """The model replica's part of it."""
        return shares_mb(self._replicas())

    def resident_mb(self, *, own: bool = False) -> float:
        """Of the model replica; ``own``: without what it shares with the node's object store."""
        return _resident_mb(self._replicas(), own)

    def _replicas(self) -> list[int]:
        return self.service.named("ray::ServeReplica:iopaint:Inpainter")


class Theirs:
    name = "iopaint start"

    def __init__(self, service: Service) -> None:
        self.service = service

    def call(self, given: Sample, strategy: str) -> dict[str, float]:
        body = {"image": given.image, "mask": given.mask, "hd_strategy": strategy} | _CROP
        started = time.perf_counter()
        answer = requests.post(f"{self.service.url}/api/v1/inpaint", json=body, timeout=900)
        answer.raise_for_status()
        return {"total": time.perf_counter() - started}

    def whole_mb(self) -> float:
        return shares_mb({self.service.process.pid, *self.service.descendants()})


def together(server: Server, given: Sample, strategy: str, clients: int, calls: int) -> list[float]:
    """Seconds of each of ``calls`` calls, ``clients`` at a time."""
    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(lambda _: server.call(given, strategy)["total"], range(calls)))


@contextmanager
def both() -> Iterator[tuple[Theirs, Ours]]:
    """IOPaint's server and this service, on the CPU, both warm."""
    with iopaint_server() as theirs, this_service() as ours:
        yield theirs, ours


@contextmanager
def this_service() -> Iterator[Ours]:
    folder = STATE / "service"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"IOPAINT_MODEL": "lama", "MODEL_DIR": str(lama_weights().parent), "REQUEST_TIMEOUT": "900"}
    settings[PRECISION] = os.environ.get(PRECISION, "auto")
    with running(folder, **settings) as service:
        ours = Ours(service)
        _warm(ours)
        yield ours


@contextmanager
def iopaint_server() -> Iterator[Theirs]:
    weights = lama_weights()
    subprocess.run([str(ROOT / "benchmarks" / "rival" / "setup")], check=True)
    port = free_port()
    command = [
        ROOT / ".state/iopaint/bin/python", ROOT / "benchmarks/rival/start.py", "start", "--model=lama",
        "--device=cpu", "--host=127.0.0.1", f"--port={port}", f"--model-dir={weights.parents[2]}",
    ]  # fmt: skip
    environment = dict(os.environ) | {"TORCH_HOME": str(weights.parents[2]), "HF_HUB_OFFLINE": "1"}
    log_path = STATE / "iopaint.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{url}/api/v1/server-config", process)
        theirs = Theirs(Service(url, process, log_path))
        _warm(theirs)
        yield theirs
    finally:
        process.terminate()
        process.wait(30)


def lama_weights() -> Path:
    """A file of the published size and format with random values, where both look for it."""
    path = STATE / "torch" / "hub" / "checkpoints" / "big-lama.pt"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path)
    return path


def _warm(server: Server) -> None:
    small = sample(512, 4)
    for _ in range(2):
        server.call(small, "Original")


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    raise TimeoutError(f"IOPaint's server did not start; see {STATE / 'iopaint.log'}")


def shares_mb(pids: Iterable[int]) -> float:
    """Each process's share of the memory that it has (PSS): a page of two counts half for each."""
    kilobytes = 0
    for pid in pids:
        with suppress(OSError):  # it has just ended
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


def _resident_mb(pids: Sequence[int], own: bool = False) -> float:
    names = {"RssAnon:", "RssFile:"} if own else {"VmRSS:"}
    lines = [line.split() for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line]
    return sum(int(words[1]) for words in lines if words[0] in names) * 1024 / 1e6


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
