"""From pixels to points and back: Winograd's minimal filtering F(4x4, 3x3).

Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks": 6x6 patches at 36 points, where a convolution
is one matrix product per point, and back to tiles of 4x4. The paper's matrices are those for the points 0, 1, -1, 2, -2
and infinity.
"""

from collections.abc import Sequence
from math import prod
from typing import Protocol

import torch
from torch import Tensor

OUT_PX = 4
"""A tile of the result is as high and as wide."""
_IN_PX = OUT_PX + 2
POINTS = _IN_PX * _IN_PX

# All but the filters' are exact in bfloat16.
_FROM_PIXELS = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_FROM_FILTER = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_TO_PIXELS = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


class Scratch:
    """Memory of one pass that its layers use in turn: fresh pages cost more than the work done in them."""

    def __init__(self) -> None:
        self._taken: dict[str, Tensor] = {}

    def take(self, use: str, like: Tensor, *shape: int) -> Tensor:
        """What was in it for the same ``use`` is lost."""
        count = prod(shape)
        if use not in self._taken or self._taken[use].numel() < count:
            self._taken[use] = like.new_empty(count)
        return self._taken[use][:count].view(shape)


class Transform(Protocol):
    def to_points(self, pixels: Tensor, top: int, tiles: tuple[int, int], scratch: Scratch) -> Tensor:
        """``(36, tiles, C)`` from the patches of ``(H, W, C)`` that begin in the tile row ``top``."""

    def to_pixels(self, points: Tensor, shift: Tensor | None, result: Tensor, scratch: Scratch) -> None:
        """``(37, tiles, C)``, the last of which may be overwritten, to ``result``, ``(rows, 4, columns, 4, C)``, and
        ``shift`` (C) added to each pixel.
        """


def transform(like: Tensor) -> Transform:
    return Sums() if like.dtype is torch.float32 else Products(like)


class Products:
    """Columns and rows at once, each way one matrix product, which rounds but once: bfloat16 has no bits to lose."""

    def __init__(self, like: Tensor) -> None:
        self._to_points = _squared(_FROM_PIXELS).to(like)
        self._to_pixels = _squared(_TO_PIXELS).to(like)
        # The shift is one more row under the 36, and one more column of ones takes it to every pixel.
        self._to_shifted_pixels = torch.cat([self._to_pixels, torch.ones_like(self._to_pixels[:, :1])], dim=1)

    def to_points(self, pixels: Tensor, top: int, tiles: tuple[int, int], scratch: Scratch) -> Tensor:
        down, across, channel = pixels.stride()
        shape = (_IN_PX, _IN_PX, *tiles, pixels.shape[-1])
        strides = (down, across, OUT_PX * down, OUT_PX * across, channel)
        overlapping = pixels.as_strided(shape, strides, pixels.storage_offset() + OUT_PX * top * down)
        patches = scratch.take("patches", pixels, *shape).copy_(overlapping).view(POINTS, -1)
        points = torch.mm(self._to_points, patches, out=scratch.take("points", pixels, *patches.shape))
        return points.view(POINTS, -1, pixels.shape[-1])

    def to_pixels(self, points: Tensor, shift: Tensor | None, result: Tensor, scratch: Scratch) -> None:
        if shift is None:
            pixels = self._to_pixels @ points[:POINTS].view(POINTS, -1)
        else:
            points[POINTS] = shift
            pixels = self._to_shifted_pixels @ points.view(POINTS + 1, -1)
        rows, _, columns, _, channels = result.shape
        result.permute(1, 3, 0, 2, 4).copy_(pixels.view(OUT_PX, OUT_PX, rows, columns, channels))


class Sums:
    """Columns, then rows, by the sums that the matrices stand for: a sixth less for a whole layer in float32."""

    def to_points(self, pixels: Tensor, top: int, tiles: tuple[int, int], scratch: Scratch) -> Tensor:
        rows, columns = tiles
        width, channels = pixels.shape[1:]
        vertical = scratch.take("vertical", pixels, _IN_PX, rows, width, channels)
        band = pixels[OUT_PX * top :]
        _sums_of_pixels([_every_fourth(band, start, rows, 0) for start in range(_IN_PX)], list(vertical))
        points = scratch.take("points", pixels, _IN_PX, _IN_PX, rows, columns, channels)
        patches = [_every_fourth(vertical, start, columns, 2) for start in range(_IN_PX)]
        _sums_of_pixels(patches, list(points.unbind(1)))
        return points.view(POINTS, -1, channels)

    def to_pixels(self, points: Tensor, shift: Tensor | None, result: Tensor, scratch: Scratch) -> None:
        rows, _, columns, _, channels = result.shape
        at = points[:POINTS].view(_IN_PX, _IN_PX, rows, columns, channels)
        vertical = scratch.take("back", points, OUT_PX, *at.shape[1:])
        _sums_of_points(list(at), list(vertical), scratch)
        across = [result[:, :, :, x].permute(1, 0, 2, 3) for x in range(OUT_PX)]
        _sums_of_points(list(vertical.unbind(1)), across, scratch)
        if shift is not None:
            result.add_(shift)


def _every_fourth(pixels: Tensor, start: int, count: int, axis: int) -> Tensor:
    return pixels.narrow(axis, start, OUT_PX * (count - 1) + 1)[(slice(None),) * axis + (slice(None, None, OUT_PX),)]


def _sums_of_pixels(d: Sequence[Tensor], t: Sequence[Tensor]) -> None:
    """``t`` becomes ``_FROM_PIXELS`` times ``d``; ``t[0]`` holds what two others share meanwhile."""
    torch.add(d[4], d[2], alpha=-4, out=t[2])
    torch.add(d[3], d[1], alpha=-4, out=t[0])
    torch.add(t[2], t[0], out=t[1])
    torch.sub(t[2], t[0], out=t[2])
    torch.sub(d[4], d[2], out=t[4])
    torch.sub(d[3], d[1], out=t[0])
    torch.add(t[4], t[0], alpha=2, out=t[3])
    torch.sub(t[4], t[0], alpha=2, out=t[4])
    torch.add(d[4], d[2], alpha=-5, out=t[0]).add_(d[0], alpha=4)
    torch.add(d[5], d[3], alpha=-5, out=t[5]).add_(d[1], alpha=4)


def _sums_of_points(t: Sequence[Tensor], y: Sequence[Tensor], scratch: Scratch) -> None:
    """``y`` becomes ``_TO_PIXELS`` times ``t``."""
    both, apart = scratch.take("between", t[0], 2, *t[0].shape)
    torch.add(t[3], t[4], out=both)
    torch.sub(t[3], t[4], out=apart)
    torch.add(t[1], t[2], out=y[2])
    torch.sub(t[1], t[2], out=y[3])
    torch.add(t[0], y[2], out=y[0]).add_(both)
    torch.add(y[3], apart, alpha=2, out=y[1])
    y[2].add_(both, alpha=4)
    y[3].add_(apart, alpha=8).add_(t[5])


def filters_at_points(weight: Tensor) -> Tensor:
    """A filter's values at the points: ``(out, in, 3, 3)`` to ``(36, in, out)``, in float64."""
    matrix = torch.tensor(_FROM_FILTER, dtype=torch.float64)
    values = torch.einsum("ia,ocab,jb->ijco", matrix, weight.double().cpu(), matrix)
    return values.reshape(POINTS, weight.shape[1], weight.shape[0])


def _squared(matrix: tuple[tuple[int, ...], ...]) -> Tensor:
    """The transform of columns and rows at once."""
    one = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(one, one)
