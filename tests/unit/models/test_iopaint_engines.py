"""IOPaint's real classes on the real file format, through our engine; and what happens to files that do not load."""

import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from iopaint.model import lama as iopaint_lama
from iopaint.schema import HDStrategy, InpaintRequest

from models import weights
from models.catalog import ERASE
from models.errors import ModelUnavailable, UnknownModel, WorkCancelled
from models.geometry import Rect
from models.job import DiffusionOptions, InpaintJob
from models.masks import regions_to_mask
from models.pipeline import process
from models.progress import ProgressEvent
from models.registry import EngineConfig, known_models, load_engine
from models.weights import WeightsFile, WeightsStore
from tests.support.erase_models import save_ldm
from tests.support.pictures import encoded, photo
from tests.support.weights import TinyLine, TinyManga, save, save_lama

IMAGE = photo(101, 67)
MASK = regions_to_mask([Rect(20, 20, 40, 15)], 101, 67)


def run(engine: Any) -> Any:
    steps: list[tuple[int, int]] = []
    before = IMAGE.copy()
    filled = engine.run(IMAGE, MASK, DiffusionOptions(), lambda done, total: steps.append((done, total)), lambda: False)
    assert steps == [(1, 1)]
    assert np.array_equal(before, IMAGE)
    return filled.image


def test_lama_equals_iopaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_lama(tmp_path)
    engine = load_engine("lama", EngineConfig("cpu", str(tmp_path)))
    assert engine.info.weights_sha256 == weights.sha256(path)
    filled = run(engine)
    monkeypatch.setattr(iopaint_lama, "LAMA_MODEL_URL", str(path))
    request = InpaintRequest(hd_strategy=HDStrategy.ORIGINAL)
    theirs = iopaint_lama.LaMa(torch.device("cpu"))(IMAGE.copy(), MASK.copy(), request)
    assert np.array_equal(filled, theirs.astype(np.uint8)[:, :, ::-1])
    assert (filled[MASK > 0] != IMAGE[MASK > 0]).mean() > 0.5


def test_manga_runs_with_its_two_files(tmp_path: Path) -> None:
    save(TinyManga(), tmp_path / "manga_inpaintor.jit")
    save(TinyLine(), tmp_path / "erika.jit")
    filled = run(load_engine("manga", EngineConfig("cpu", str(tmp_path))))
    assert filled.shape == IMAGE.shape


@pytest.mark.parametrize(("sampler", "units"), [("ddim", 20), ("plms", 21)])
def test_a_job_of_ldm_stops_between_two_diffusion_steps(tmp_path: Path, sampler: str, units: int) -> None:
    """Cancelled after its third step, the network does no fourth; the next job has all of its steps."""
    engine = load_engine("ldm", EngineConfig("cpu", str(save_ldm(tmp_path))))
    asked = DiffusionOptions(steps=20, sampler=sampler)
    done: list[ProgressEvent] = []

    def steps() -> list[int]:
        return [event.units_done for event in done if event.stage == "inpainting"]

    def run(stop_after: int) -> None:
        done.clear()
        process(
            InpaintJob((Rect(20, 20, 40, 15),), diffusion=asked), encoded(IMAGE), None, engine,
            max_pixels=10**6, max_window_px=2048, on_progress=done.append,
            should_stop=lambda: max(steps(), default=0) >= stop_after,
        )  # fmt: skip

    with pytest.raises(WorkCancelled, match="between two diffusion steps"):
        run(stop_after=3)
    assert steps() == [0, 1, 2, 3]
    run(stop_after=99)
    assert steps() == list(range(units + 1))


def test_iopaints_constants_are_left_as_they_were(tmp_path: Path) -> None:
    before = iopaint_lama.LAMA_MODEL_URL
    save_lama(tmp_path)
    load_engine("lama", EngineConfig("cpu", str(tmp_path)))
    assert before == iopaint_lama.LAMA_MODEL_URL


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"not weights at all"])
def test_a_file_that_does_not_load_is_set_aside_and_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = save_lama(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelUnavailable, match=r"big-lama\.pt\.bad-1"):
        load_engine(
            "lama", EngineConfig("cpu", str(tmp_path), sources={"LAMA_MODEL_URL": "http://127.0.0.1:9/big-lama.pt"})
        )
    assert not path.exists()
    assert (tmp_path / "big-lama.pt.bad-1").exists()


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=", ".join(known_models())):
        load_engine("nope", EngineConfig("cpu"))
    assert set(ERASE) < set(known_models())


class _Quiet(SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Any:
    folder = tmp_path / "mirror"
    save_lama(folder)
    asked: list[str] = []
    handler = partial(type("Mirror", (_Quiet,), {"asked": asked}), directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/big-lama.pt", folder / "big-lama.pt", asked
    server.shutdown()
    server.server_close()


def test_many_at_once_download_once(mirror: Any, tmp_path: Path) -> None:
    url, original, asked = mirror
    file = WeightsFile(url, "")
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(WeightsStore(tmp_path / "store").ensure("lama", file)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [p.read_bytes() == original.read_bytes() for p in paths] == [True] * 4
    assert len(asked) == 1


def test_a_wrong_checksum_is_never_served(mirror: Any, tmp_path: Path) -> None:
    url, _, _ = mirror
    with pytest.raises(ModelUnavailable, match="MODEL_DIR"):
        WeightsStore(tmp_path / "store").ensure("lama", WeightsFile(url, "0" * 32))
    assert not (tmp_path / "store" / "big-lama.pt").exists()


def test_no_network_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1.*big-lama\.pt in MODEL_DIR"):
        WeightsStore(tmp_path).ensure("lama", WeightsFile("http://127.0.0.1:9/big-lama.pt", ""))
