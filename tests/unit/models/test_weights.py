"""Weights from a server that cuts off, corrupts and repeats itself; two processes at once; a disk that is full."""

import hashlib
import multiprocessing
import resource
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from models.errors import ModelUnavailable
from models.registry import EngineConfig, load_engine
from models.weights import WeightsFile, WeightsStore, sha256
from tests.support.weights import save_lama


@dataclass
class Mirror:
    """``sends``: one body after the other, the last one for ever; each announced with ``good``'s length."""

    good: bytes
    sends: list[bytes] = field(default_factory=list)
    asked: int = 0
    url: str = ""

    @property
    def md5(self) -> str:
        return hashlib.md5(self.good).hexdigest()

    def sources(self) -> dict[str, str]:
        return {"LAMA_MODEL_URL": self.url, "LAMA_MODEL_MD5": self.md5}

    def next_body(self) -> bytes:
        self.asked += 1
        return self.sends.pop(0) if self.sends else self.good


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    made = Mirror(save_lama(tmp_path / "origin").read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = made.next_body()
            self.send_response(200)
            self.send_header("Content-Length", str(len(made.good)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/big-lama.pt"
    yield made
    server.shutdown()
    server.server_close()


def config(folder: Path, mirror: Mirror) -> EngineConfig:
    return EngineConfig("cpu", str(folder), sources=mirror.sources())


@pytest.mark.parametrize("bad", ["truncated", "corrupt"])
def test_a_bad_download_is_never_served_and_the_next_one_is_taken(tmp_path: Path, mirror: Mirror, bad: str) -> None:
    middle = len(mirror.good) // 2
    flipped = mirror.good[:middle] + bytes([mirror.good[middle] ^ 1]) + mirror.good[middle + 1 :]
    mirror.sends = [mirror.good[:middle] if bad == "truncated" else flipped]
    with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1.*"):
        load_engine("lama", config(tmp_path / "store", mirror))
    assert not [path for path in (tmp_path / "store").iterdir() if path.suffix != ".lock"]  # nothing half is left
    engine = load_engine("lama", config(tmp_path / "store", mirror))
    assert engine.info.weights_sha256 == hashlib.sha256(mirror.good).hexdigest()


@pytest.mark.parametrize("damage", ["cut off", "one bit"])
def test_a_damaged_file_is_set_aside_and_fetched_again(tmp_path: Path, mirror: Mirror, damage: str) -> None:
    middle = len(mirror.good) // 2
    bit = mirror.good[:middle] + bytes([mirror.good[middle] ^ 1]) + mirror.good[middle + 1 :]
    store = tmp_path / "store"
    store.mkdir()
    (store / "big-lama.pt").write_bytes(mirror.good[:middle] if damage == "cut off" else bit)
    engine = load_engine("lama", config(store, mirror))
    assert engine.info.weights_sha256 == sha256(store / "big-lama.pt") == hashlib.sha256(mirror.good).hexdigest()
    assert (store / "big-lama.pt.bad-1").exists()
    assert mirror.asked == 1


def test_a_damaged_file_that_cannot_be_set_aside_is_named(tmp_path: Path, mirror: Mirror) -> None:
    """As in a folder mounted read-only; here the lock cannot be taken, which a test can do as root, too."""
    store = tmp_path / "store"
    (store / "big-lama.lock").mkdir(parents=True)
    (store / "big-lama.pt").write_bytes(mirror.good[:-100])
    with pytest.raises(ModelUnavailable, match=r"big-lama\.pt does not load, and it cannot be put aside in .*/store"):
        load_engine("lama", config(store, mirror))
    assert mirror.asked == 0


def test_in_an_air_gapped_folder_nothing_is_fetched(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "big-lama.pt").write_bytes(mirror.good)
    load_engine("lama", config(tmp_path / "store", mirror))
    assert mirror.asked == 0


def _ensure(folder: Path, file: WeightsFile, barrier: Any) -> None:
    barrier.wait(60)
    WeightsStore(folder).ensure("lama", file)


def test_two_processes_at_once_download_once(tmp_path: Path, mirror: Mirror) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    file = WeightsFile(mirror.url, mirror.md5)
    processes = [context.Process(target=_ensure, args=(tmp_path / "store", file, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert mirror.asked == 1
    assert (tmp_path / "store" / "big-lama.pt").read_bytes() == mirror.good


def test_a_full_disk_is_told_as_such_and_leaves_nothing(tmp_path: Path, mirror: Mirror) -> None:
    """Files may not grow beyond half of this one: to the writer the same as a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(mirror.good) // 2, hard))
    try:
        with pytest.raises(ModelUnavailable, match=r"the disk is full\. Make room"):
            WeightsStore(tmp_path / "store").ensure("lama", WeightsFile(mirror.url, mirror.md5))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "store" / "big-lama.pt").exists()
    WeightsStore(tmp_path / "store").ensure("lama", WeightsFile(mirror.url, mirror.md5))


def test_iopaints_variables_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from ingress.builder import inpainter_config
    from ingress.settings import Settings

    monkeypatch.setenv("LAMA_MODEL_URL", "http://mirror/lama.pt")
    assert inpainter_config(Settings.model_validate({})).weights_sources == {"LAMA_MODEL_URL": "http://mirror/lama.pt"}
