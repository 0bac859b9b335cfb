"""Our generator against the plain architecture in the real file format, under whatever names an exporter chose."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from iopaint.model import lama as iopaint_lama
from iopaint.schema import HDStrategy, InpaintRequest

from models import cpu
from models.engines.lama import paths, winograd
from models.engines.lama.check import disagreement
from models.engines.lama.decoder import areas_of
from models.engines.lama.engine import LamaEngine, _kinds, build
from models.engines.lama.generator import Generator
from models.engines.lama.layers import Kind, reflect
from models.engines.lama.parameters import generator_state
from models.errors import ModelUnavailable
from models.geometry import Rect
from models.job import DiffusionOptions
from models.masks import regions_to_mask
from models.registry import EngineConfig, load_engine
from tests.support import lama
from tests.support.pictures import photo

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
NOWHERE = {"LAMA_MODEL_URL": "http://127.0.0.1:9/big-lama.pt"}
SMALL = {"base": 16, "blocks": 3}
IMAGE = photo(101, 67)
MASK = regions_to_mask([Rect(20, 20, 40, 15)], 101, 67)


def fill(engine: object, image: np.ndarray = IMAGE, mask: np.ndarray = MASK) -> np.ndarray:
    assert isinstance(engine, LamaEngine)
    return engine.run(image, mask, DiffusionOptions(), lambda done, total: None, lambda: False).image


@pytest.mark.parametrize("prefix", ["", "model", "generator.model", "module.netG.model", "1.inner"])
def test_any_prefix_is_stripped(tmp_path: Path, prefix: str) -> None:
    path = lama.save(tmp_path / "big-lama.pt", prefix, **SMALL)
    script = torch.jit.load(path)  # type: ignore[no-untyped-call]
    generator, why = build(script.state_dict(), CPU, "float32", script)
    assert generator is not None, why


def test_the_published_size_agrees_in_both_precisions() -> None:
    exported = lama.wrapped("generator.model")
    for dtype, fast in itertools.product((torch.bfloat16, torch.float32), (True, False)):
        kind = Kind(CPU, dtype, fast)
        with torch.inference_mode():
            generator = Generator(generator_state(exported.state_dict()), kind)
            assert disagreement(generator, exported, CPU) == "", kind


@pytest.mark.parametrize("band_bytes", [1, 16 << 20])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (24, 56), (64, 40), (136, 72)])
def test_a_quarter_of_the_multiplications_come_to_the_same(
    monkeypatch: pytest.MonkeyPatch, band_bytes: int, height: int, width: int
) -> None:
    """Sizes that are whole tiles and not, in one band of tiles and in many, several pictures at once."""
    monkeypatch.setattr(paths, "_BAND_BYTES", band_bytes)
    state = generator_state(lama.wrapped("model", **SMALL).state_dict())
    x = torch.rand(2, 4, height, width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        plain, fast = (Generator(state, Kind(CPU, torch.float32, winograd))(x) for winograd in (False, True))
    assert plain.std() > 0.01
    assert not torch.equal(plain, fast)
    torch.testing.assert_close(fast, plain, atol=2e-5, rtol=0)


@pytest.mark.parametrize("shift", [None, torch.arange(5.0)])
def test_sums_are_what_the_products_are(shift: torch.Tensor | None) -> None:
    """Both ways to the points and back; the tiles lie amid a larger picture."""
    random = torch.Generator().manual_seed(3)
    pixels, points = torch.rand(22, 30, 5, generator=random), torch.rand(37, 12, 5, generator=random)
    found = []
    for way in (winograd.Products(pixels), winograd.Sums()):
        result = torch.empty(3, 4, 4, 4, 5)
        way.to_pixels(points.clone(), shift, result, winograd.Scratch())
        found.append((way.to_points(pixels, 2, (3, 4), winograd.Scratch()), result))
    for product, total in zip(*found, strict=True):
        torch.testing.assert_close(total, product, atol=1e-4, rtol=1e-5)


def test_where_they_do_not_the_plain_convolutions_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    exported = lama.wrapped("model", **SMALL)
    generator, _ = build(exported.state_dict(), CPU, "float32", exported)
    assert generator is not None
    assert generator.kind.winograd
    monkeypatch.setattr(winograd, "_FROM_FILTER", tuple((a, b * 1.1, c) for a, b, c in winograd._FROM_FILTER))
    generator, why = build(exported.state_dict(), CPU, "float32", exported)
    assert generator is not None, why
    assert not generator.kind.winograd


@pytest.mark.parametrize(
    ("size", "holes", "parts"),
    [
        ((256, 320), [(0, 8, 0, 8), (248, 256, 312, 320)], 2),  # corners
        ((256, 320), [(100, 107, 40, 250), (170, 177, 40, 250)], 2),  # two lines
        ((256, 320), [(127, 128, 159, 160)], 1),  # one pixel, the last of its cell
        ((64, 512), [(8, 40, 17, 25), (30, 31, 70, 71), (31, 64, 400, 401)], 2),  # the first two depend on one another
        ((256, 320), [(0, 256, 0, 4), (0, 4, 0, 320)], 1),  # all but everything
        ((640, 640), [(y, y + 1, x, x + 1) for y in range(0, 640, 80) for x in range(0, 640, 80)], 1),  # too many
        ((64, 64), [], 0),
    ],
)
@pytest.mark.parametrize("winograd", [False, True])
def test_only_what_the_holes_need_is_decoded(
    size: tuple[int, int], holes: list[tuple[int, int, int, int]], parts: int, winograd: bool
) -> None:
    """Each picture of a batch has one half of the holes; in them, the pixels are those of a whole pass."""
    mask = torch.zeros(2, 1, *size)
    for index, (top, bottom, left, right) in enumerate(holes):
        mask[index % 2, :, top:bottom, left:right] = 1
    areas = areas_of(mask)
    assert len(areas) == parts
    state = generator_state(lama.wrapped("model", **SMALL).state_dict())
    x = torch.rand(2, 4, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        generator = Generator(state, Kind(CPU, torch.float32, winograd))
        whole, part = generator(x), generator(x, areas)
    inside = mask.expand_as(whole) > 0
    torch.testing.assert_close(part[inside], whole[inside], atol=1e-6, rtol=0)
    if parts > 1:
        assert (part == 0).float().mean() > 0.4


@pytest.mark.parametrize("width", [1, 3])
def test_mirrored_as_torch_does(width: int) -> None:
    x = torch.rand(2, 5, 9, 7)
    assert torch.equal(reflect(x, width), torch.nn.functional.pad(x, (width,) * 4, mode="reflect"))


def test_weights_are_not_packed_by_slow_code_in_every_pass(capfd: pytest.CaptureFixture[str]) -> None:
    """oneDNN tells what it did: its simple reorder of one layer's weights takes longer than the layer."""
    state = generator_state(lama.wrapped("", blocks=1).state_dict())
    for kind in _kinds(CPU, "auto"):
        with torch.inference_mode():
            generator = Generator(state, kind)
            capfd.readouterr()
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):  # type: ignore[no-untyped-call]
                for height, width in ((128, 128), (192, 320), (320, 448)):
                    generator(torch.rand(1, 4, height, width))
        told = [line for line in capfd.readouterr().out.splitlines() if line.startswith("onednn_verbose")]
        assert any(",exec,cpu,convolution," in line for line in told)
        assert [line for line in told if ",reorder,simple" in line] == []


@pytest.mark.parametrize(("width", "height"), [(101, 67), (64, 64), (200, 33), (9, 5)])
def test_pixels_are_iopaints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int) -> None:
    path = lama.save(tmp_path / "big-lama.pt", "generator.model", **SMALL)
    engine = load_engine("lama", EngineConfig("cpu", str(tmp_path), precision="float32"))
    image = photo(width, height)
    mask = regions_to_mask([Rect(width // 4, height // 4, width // 2, height // 2)], width, height)
    filled = fill(engine, image, mask)
    assert filled.shape == image.shape
    if min(width, height) < 16:
        return  # theirs cannot
    monkeypatch.setattr(iopaint_lama, "LAMA_MODEL_URL", str(path))
    request = InpaintRequest(hd_strategy=HDStrategy.ORIGINAL)
    theirs = iopaint_lama.LaMa(CPU)(image.copy(), mask.copy(), request).astype(np.uint8)[:, :, ::-1]
    # Truncating to whole values turns a difference of 1e-7 into one of 1.
    assert np.abs(filled.astype(int) - theirs).max() <= 1
    assert (filled != theirs).mean() < 0.01
    assert (filled[mask > 0] != image[mask > 0]).mean() > 0.5


def test_both_names_load_fast(tmp_path: Path) -> None:
    lama.save(tmp_path / "big-lama.pt", "generator.model", **SMALL)
    lama.save(tmp_path / "anime-manga-big-lama.pt", "model", **SMALL, seed=1)
    engines = [load_engine(name, EngineConfig("cpu", str(tmp_path))) for name in ("lama", "anime-lama")]
    assert [engine.info.name for engine in engines] == ["lama", "anime-lama"]
    assert [engine.info.notes for engine in engines] == [(), ()]
    first, second = (fill(engine) for engine in engines)
    assert not np.array_equal(first, second)


def test_a_processor_without_bfloat16_runs_in_float32_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can, a hundred times as slowly."""
    monkeypatch.setattr(cpu, "fused_convolutions", lambda dtype: dtype == torch.float32)
    lama.save(tmp_path / "big-lama.pt", "generator.model", **SMALL)
    info = load_engine("lama", EngineConfig("cpu", str(tmp_path), precision="bfloat16")).info
    assert info.precision == "float32"
    assert ["IOPAINT_PRECISION" in note for note in info.notes] == [True]


def test_a_replica_of_lama_does_not_import_iopaint(tmp_path: Path) -> None:
    """It would be seconds longer in coming, and a quarter of a gigabyte larger."""
    lama.save(tmp_path / "big-lama.pt", "generator.model", **SMALL)
    code = (
        "import sys\nfrom models.registry import *\n"
        f"print(load_engine('lama', EngineConfig('cpu', {str(tmp_path)!r})).info.notes, needed_files('zits') != (),"
        " 'iopaint' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    assert said.split() == ["()", "True", "False"]


@pytest.mark.parametrize("training", [False, True])
def test_a_plain_checkpoint_of_the_same_architecture(tmp_path: Path, training: bool) -> None:
    exported = lama.wrapped("generator.model", **SMALL)
    state = exported.state_dict()
    torch.save({"state_dict": state, "epoch": 3} if training else state, tmp_path / "big-lama.pt")
    from_checkpoint = fill(load_engine("lama", EngineConfig("cpu", str(tmp_path), precision="float32")))
    lama.save(tmp_path / "big-lama.pt", "generator.model", **SMALL)
    from_script = fill(load_engine("lama", EngineConfig("cpu", str(tmp_path), precision="float32")))
    assert np.array_equal(from_checkpoint, from_script)


def test_a_checkpoint_of_something_else_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "big-lama.pt")
    with pytest.raises(ModelUnavailable, match=r"renamed to big-lama\.pt\.bad-1.*could not be downloaded"):
        load_engine("lama", EngineConfig("cpu", str(tmp_path), sources=NOWHERE))


def trace(module: torch.nn.Module, path: Path) -> None:
    example = (torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32))
    torch.jit.trace(module, example).save(path)  # type: ignore[no-untyped-call]


class Inverted(lama.Exported):
    """Same names, same shapes, but does something else with them."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return 1 - super().forward(image, mask)


def test_a_file_that_means_something_else_runs_as_torchscript(tmp_path: Path) -> None:
    module = Inverted(lama.randomised(lama.generator(**SMALL))).eval()
    trace(module, tmp_path / "big-lama.pt")
    engine = load_engine("lama", EngineConfig("cpu", str(tmp_path)))
    assert not isinstance(engine, LamaEngine)
    assert "differs" in engine.info.notes[0]


def test_one_layer_less_runs_as_torchscript(tmp_path: Path) -> None:
    model = lama.randomised(lama.generator(**SMALL))
    assert isinstance(model, torch.nn.Sequential)
    model.get_submodule("5.conv1.ffc.convg2g.fu").register_module("bn", torch.nn.Identity())
    module = lama.Exported(model).eval()
    trace(module, tmp_path / "big-lama.pt")
    engine = load_engine("lama", EngineConfig("cpu", str(tmp_path)))
    assert "KeyError" in engine.info.notes[0]
