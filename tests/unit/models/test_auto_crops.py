"""The plan of windows: complete, bounded, with context, few, and always the same."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.auto_crops import auto_windows
from models.costs import WindowCosts, costs_of
from models.engine import EngineInfo, Mask
from models.geometry import Rect
from models.masks import regions_to_mask
from models.windows import Window

LAMA = costs_of(EngineInfo("lama", "cpu", precision="bfloat16"))

sizes = st.tuples(st.integers(1, 900), st.integers(1, 900))
rects = st.lists(
    st.builds(Rect, st.integers(0, 850), st.integers(0, 850), st.integers(1, 500), st.integers(1, 120)), max_size=12
)


def drawn(regions: list[Rect], width: int, height: int) -> Mask:
    return regions_to_mask([r for r in regions if r.x < width and r.y < height], width, height)


@settings(max_examples=120, deadline=None)
@given(sizes, rects, st.sampled_from([96, 256, 2048]))
def test_every_plan_keeps_its_promises(size: tuple[int, int], regions: list[Rect], limit: int) -> None:
    width, height = size
    mask = drawn(regions, width, height)
    windows = auto_windows(mask, limit, LAMA)
    assert windows == auto_windows(mask.copy(), limit, LAMA)
    covered = np.zeros_like(mask)
    for window in windows:
        box, core = window.box, window.core
        assert box.clip(width, height) == box
        assert core.union(box) == box, "the core lies in its window"
        assert max(box.width, box.height) <= max(limit, 1)
        assert mask[core.top : core.bottom, core.left : core.right].any() or limit < 2048
        covered[core.top : core.bottom, core.left : core.right] = 1
    assert not (mask[covered == 0]).any(), "every masked pixel is in a core"
    for first, second in itertools.combinations(windows, 2):
        if first.core.overlaps(second.core):
            assert any(first.ramp_px) or any(second.ramp_px), "cores overlap in the ramps of tiles only"


def test_context_and_share_where_the_image_allows() -> None:
    mask = drawn([Rect(900, 900, 300, 40), Rect(200, 1500, 200, 200)], 2048, 2048)
    windows = auto_windows(mask, 2048, LAMA)
    assert len(windows) == 2
    for window in windows:
        box, core = window.box, window.core
        wanted = max(64, min(core.width, core.height))
        assert min(core.left - box.left, box.right - core.right, core.top - box.top, box.bottom - core.bottom) >= wanted
        assert (mask[box.top : box.bottom, box.left : box.right] > 0).mean() <= 0.4
        assert {box.width, box.height} <= set(LAMA.ladder_px)


def test_a_page_of_lines_is_few_windows() -> None:
    lines = [Rect(150, 100 + 36 * i, 900, 22) for i in range(25)] + [
        Rect(1150, 100 + 36 * i, 700, 22) for i in range(25)
    ]
    windows = auto_windows(drawn(lines, 2048, 1448), 2048, LAMA)
    assert len(windows) <= 3


def test_letters_of_fifty_lines_are_planned_fast_and_cost_less_than_the_whole() -> None:
    rng = np.random.default_rng(1)
    letters = [
        Rect(int(x), int(y), 9, 14)
        for y in rng.integers(0, 2000, 50)
        for x in np.arange(rng.integers(0, 1200), 2000, 14)[: rng.integers(8, 40)]
    ]
    mask = drawn(letters, 2048, 2048)
    started = time.process_time()
    windows = auto_windows(mask, 2048, LAMA)
    assert time.process_time() - started < 2
    planned = sum(LAMA.seconds(w.box.width, w.box.height) for w in windows)
    assert planned <= LAMA.seconds(2048, 2048) * 1.01


@pytest.mark.parametrize(("fixed_s", "expected"), [(0.0, 2), (10.0, 1)])
def test_the_cost_of_a_run_decides_about_joining(fixed_s: float, expected: int) -> None:
    mask = drawn([Rect(300, 300, 60, 20), Rect(1300, 1300, 60, 20)], 2048, 2048)
    assert len(auto_windows(mask, 2048, WindowCosts(fixed_s, 1.0, LAMA.ladder_px))) == expected


def one_liners(costs: WindowCosts) -> list[tuple[int, int, int]]:
    """Of forty pictures with a line each: the window's sides, and the least that it must hold."""
    rng, found = np.random.default_rng(0), []
    for _ in range(40):
        x, y, width = (int(v) for v in rng.integers(200, 700, 3))
        for window in auto_windows(drawn([Rect(x, y, width, 30)], 1920, 1080), 2048, costs):
            found.append((window.box.width, window.box.height, (width + 128) * (30 + 128)))
    return found


def test_windows_of_different_images_meet_on_a_gpu_where_they_are_run_together() -> None:
    gpu = costs_of(EngineInfo("lama", "cuda", precision="bfloat16"))
    assert len({(width, height) for width, height, _ in one_liners(gpu)}) <= 4


def test_windows_fit_closely_on_a_cpu_where_each_pixel_costs() -> None:
    windows = one_liners(LAMA)
    assert sum(width * height for width, height, _ in windows) < 1.06 * sum(needed for _, _, needed in windows)


def solid(width: int, height: int, left: int, top: int, right: int, bottom: int) -> Mask:
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def context_of(window: Window) -> tuple[int, int]:
    """The least on an axis: columns, rows."""
    box, core = window.box, window.core
    return min(core.left - box.left, box.right - core.right), min(core.top - box.top, box.bottom - core.bottom)


@pytest.mark.parametrize("side", [600, 680, 690, 800, 1000, 1290])
def test_a_large_hole_has_as_much_context_as_a_run_can_hold(side: int) -> None:
    low = (3000 - side) // 2
    mask = solid(3000, 3000, low, low, low + side, low + side)
    (window,) = auto_windows(mask, 2048, LAMA)
    assert min(context_of(window)) >= min(side, (2048 - side) // 2)
    assert (mask[window.box.slices] > 0).mean() <= 0.4


@pytest.mark.parametrize(("width", "height", "least"), [(1900, 300, (74, 300)), (300, 1900, (300, 74))])
def test_what_one_run_holds_is_not_tiled(width: int, height: int, least: tuple[int, int]) -> None:
    mask = solid(4000, 4000, 1000, 1000, 1000 + width, 1000 + height)
    (window,) = auto_windows(mask, 2048, LAMA)
    assert all(has >= wanted for has, wanted in zip(context_of(window), least, strict=True))
    assert (mask[window.box.slices] > 0).mean() <= 0.4


def test_at_the_edge_the_share_grows_into_the_axis_that_has_room() -> None:
    mask = solid(2048, 2048, 0, 0, 2048, 600)
    (window,) = auto_windows(mask, 2048, LAMA)
    assert (mask[window.box.slices] > 0).mean() <= 0.4


def test_tiles_are_cut_on_one_axis_only_and_have_their_context() -> None:
    mask = solid(4000, 3000, 500, 1000, 3500, 1400)
    windows = auto_windows(mask, 2048, LAMA)
    assert len(windows) == 2
    for window in windows:
        across, down = context_of(window)
        assert across >= 200
        assert down >= 400
        assert (mask[window.box.slices] > 0).mean() <= 0.4


@pytest.mark.parametrize(
    "hole", [(0, 0, 250, 400), (250, 0, 500, 400), (0, 0, 500, 200), (0, 200, 500, 400), (0, 0, 300, 300)]
)
def test_tiles_begin_where_something_is_known(hole: tuple[int, int, int, int]) -> None:
    mask = solid(500, 400, *hole)
    windows = auto_windows(mask, 256, LAMA)
    done, share = mask == 0, []
    for window in windows:
        box, core = window.box, window.core
        share.append(done[box.slices].mean())
        across, down = window.ramp_px
        # What it fades into is there already.
        rows, columns = slice(core.top, core.bottom), slice(core.left, core.right)
        if across:
            assert done[rows, core.left : core.left + across].all() or across < 0
            assert done[rows, core.right + across : core.right].all() or across > 0
        if down:
            assert done[core.top : core.top + down, columns].all() or down < 0
            assert done[core.bottom + down : core.bottom, columns].all() or down > 0
        done[rows, columns] = True
    assert min(share) > 0.1
    assert done.all()
