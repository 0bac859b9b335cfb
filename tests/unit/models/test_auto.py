"""``auto``: a network that knows the truth, one that is useless, one that nobody needs, and none."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.grounds import Pair, pair
from models.costs import costs_of
from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.engines.auto import AutoEngine
from models.engines.classic.engine import ClassicEngine
from models.errors import WorkCancelled
from models.geometry import Rect
from models.job import DiffusionOptions, HDOptions, HDStrategy, InpaintJob
from models.pipeline import process
from models.windows import WindowSizes
from tests.support.pictures import decoded, encoded
from tests.unit.models.test_classic import strokes

OPTIONS = DiffusionOptions()
SIZES = {
    "fcf": WindowSizes(512, 512, square=True, max_px=512),
    "mat": WindowSizes(512, 512, square=True),
    "ldm": WindowSizes(32),
    "a/xl": WindowSizes(8, 512, trained_px=1024),
}


class Knowing:
    """Finds where the window lies in the true picture, and answers from there, ``levels`` too bright."""

    def __init__(self, truth: Image, levels: int = 0) -> None:
        self._truth = truth
        self._levels = levels
        self.passes = 0

    info = EngineInfo("knowing", "cpu", "abc")

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        return 1

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        self.passes += 1
        height, width = mask.shape
        known = mask == 0
        rows, columns = (where[::97] for where in np.nonzero(known))
        for top in range(self._truth.shape[0] - height + 1):
            for left in range(self._truth.shape[1] - width + 1):
                part = self._truth[top : top + height, left : left + width]
                if (part[rows, columns] == image[rows, columns]).mean() > 0.8:
                    on_step(1, 1)
                    return Filling(np.where(part < 128, part + self._levels, part - self._levels).astype(np.uint8))
        raise AssertionError("the window is not a part of the picture")

    def close(self) -> None:
        """Nothing is held."""


def run(made: Pair, engine: AutoEngine | ClassicEngine, mask: Mask | None = None) -> Filling:
    mask = strokes(made) if mask is None else mask
    return engine.run(made.shown, mask, OPTIONS, lambda done, total: None, lambda: False)


@pytest.mark.parametrize("solid", [False, True])
def test_a_network_that_is_right_wins(solid: bool) -> None:
    made = pair("photographs", 5)
    mask = strokes(made)
    if solid:
        box = made.box
        mask[box.top : box.bottom, box.left : box.right] = 255
    network = Knowing(made.truth)
    filled = run(made, AutoEngine(network), mask)
    assert np.array_equal(filled.image[mask > 0], made.truth[mask > 0])
    assert {(fill.name, fill.error) for fill in filled.fills} == {("knowing", 0.0)}
    assert network.passes == (2 if solid else 1)


def test_a_network_that_is_wrong_is_not_taken() -> None:
    made = pair("photographs", 5)
    network = Knowing(made.truth, levels=100)
    filled = run(made, AutoEngine(network))
    plain = run(made, ClassicEngine())
    assert network.passes == 1
    assert np.array_equal(filled.image, plain.image)
    assert filled.fills == plain.fills


@pytest.mark.parametrize("kind", ["flat", "gradient", "manga tone", "paper", "clouds"])
def test_where_a_weightless_fill_is_good_enough_the_network_is_not_run(kind: str) -> None:
    made = pair(kind, 11)
    network = Knowing(made.truth)
    filled = run(made, AutoEngine(network))
    assert network.passes == 0
    assert np.array_equal(filled.image, run(made, ClassicEngine()).image)


def test_only_contested_lines_go_to_the_network() -> None:
    plain, scene = pair("flat", 3), pair("photographs", 4)
    width = min(plain.truth.shape[1], scene.truth.shape[1])
    truth, shown = (np.concatenate([p[:, :width] for p in each]) for each in (
        (plain.truth, scene.truth), (plain.shown, scene.shown)
    ))  # fmt: skip
    inked = np.concatenate([p.strokes[:, :width] for p in (plain, scene)])
    made = Pair("both", truth, shown, inked, plain.box)
    names = [fill.name for fill in run(made, AutoEngine(Knowing(made.truth))).fills]
    assert names[0] == "surface"
    assert names[-1] == "knowing"


def test_without_a_network_it_is_classic_and_says_so() -> None:
    made = pair("photographs", 5)
    job = InpaintJob((Rect(made.box.left, made.box.top, made.box.width, made.box.height),))

    def through(engine: AutoEngine | ClassicEngine) -> tuple[Image, tuple[str, ...]]:
        result = process(
            job, encoded(made.shown), None, engine, max_pixels=10**8, max_window_px=2048,
            on_progress=lambda event: None, should_stop=lambda: False,
        )  # fmt: skip
        (region,) = result.stats.regions
        assert region.trial_error is not None
        return decoded(result.data), result.stats.notes

    picture, notes = through(AutoEngine(None, "no weights here."))
    assert notes == ("no weights here.",)
    classic, none = through(ClassicEngine())
    assert np.array_equal(picture, classic)
    assert none == ()


def test_it_stops_when_told() -> None:
    made = pair("photographs", 5)
    with pytest.raises(WorkCancelled):
        AutoEngine(Knowing(made.truth)).run(made.shown, strokes(made), OPTIONS, lambda done, total: None, lambda: True)


def test_the_same_twice() -> None:
    made = pair("photographs", 6)
    first, second = (run(made, AutoEngine(Knowing(made.truth, 8))) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert first.fills == second.fills


class Picky:
    """A network that draws noise and takes few sizes; what it is asked to do."""

    def __init__(self, name: str) -> None:
        self.info = EngineInfo(name, "cpu", "abc", precision="bfloat16", seeded=True, sizes=SIZES[name])
        self.shapes: list[tuple[int, int]] = []

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        return 1

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        self.shapes.append((mask.shape[1], mask.shape[0]))
        return Filling(image)

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("name", SIZES)
def test_it_is_all_that_its_network_is(name: str) -> None:
    network = Picky(name)
    info = AutoEngine(network, "a reason.").info
    assert info == replace(network.info, name="auto", notes=("a reason.",), network=name)
    assert costs_of(info) == costs_of(network.info)


@pytest.mark.parametrize("strategy", [HDStrategy.AUTO, HDStrategy.ORIGINAL])
@pytest.mark.parametrize("name", SIZES)
def test_the_network_gets_windows_that_it_takes_as_they_are(name: str, strategy: HDStrategy) -> None:
    made = pair("photographs", 5)
    height, width = made.truth.shape[:2]
    ground = np.tile(made.truth, (1500 // height + 1, 1500 // width + 1, 1))[:1500, :1500]
    shown = ground.copy()
    shown[700 : 700 + height, 600 : 600 + width] = made.shown
    network, box = Picky(name), made.box.moved(600, 700)
    job = InpaintJob((Rect(box.left, box.top, box.width, box.height),), hd=HDOptions(strategy))
    result = process(
        job, encoded(shown), None, AutoEngine(network), max_pixels=10**8, max_window_px=2048,
        on_progress=lambda event: None, should_stop=lambda: False,
    )  # fmt: skip
    assert network.shapes
    for shape in network.shapes:
        assert SIZES[name].sides(*shape) == shape
        assert min(shape) >= SIZES[name].trained_px
    assert result.stats.seed is not None
