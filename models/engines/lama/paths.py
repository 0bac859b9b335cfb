"""The three 3x3 convolutions of a Fourier convolution layer, plainly or with a quarter of the multiplications.

Winograd's minimal filtering F(4x4, 3x3): Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
"""

from dataclasses import dataclass
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from models.engines.lama.layers import Convolution, Kind, mirror, reflect

_OUT_PX = 4
"""A tile of the result is as high and as wide."""
_IN_PX = _OUT_PX + 2
_POINTS = _IN_PX * _IN_PX
_BAND_BYTES = 16 << 20
"""Of a band of tiles at the points: what bounds the memory. Smaller ones read the filters more often, which costs
float32 a tenth of a pass at 512 pixels squared."""

# The paper's matrices for the points 0, 1, -1, 2, -2 and infinity. All but the filters' are exact in bfloat16.
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


@dataclass(frozen=True, slots=True)
class PathWeights:
    """Batch norms folded in; each weight is ``(out, in, 3, 3)``."""

    local: Tensor
    to_local: Tensor
    to_global: Tensor
    local_shift: Tensor


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


class LocalPaths(Protocol):
    def __call__(self, local: Tensor, wide: Tensor, scratch: Scratch) -> tuple[Tensor, Tensor]:
        """``(N, C, H, W)`` each, mirrored by one pixel at the borders.

        Returns the layer's local channels, finished, and what the local channels add to the global ones.
        """


def local_paths(weights: PathWeights, kind: Kind) -> LocalPaths:
    return WinogradPaths(weights, kind) if kind.winograd else DirectPaths(weights, kind)


class DirectPaths:
    """As the paper writes them."""

    def __init__(self, weights: PathWeights, kind: Kind) -> None:
        self._local = Convolution(weights.local, None, kind)
        self._to_local = Convolution(weights.to_local, weights.local_shift, kind, relu=True)
        self._to_global = Convolution(weights.to_global, None, kind)

    def __call__(self, local: Tensor, wide: Tensor, scratch: Scratch) -> tuple[Tensor, Tensor]:
        padded = reflect(local, 1)
        return self._to_local(reflect(wide, 1), self._local(padded)), self._to_global(padded)


class WinogradPaths:
    """6x6 patches at 36 points, where a convolution is one matrix product per point, and back to tiles of 4x4.

    The price is memory: a filter has 36 values instead of 9.
    """

    def __init__(self, weights: PathWeights, kind: Kind) -> None:
        # One product for everything that ends in the local channels: the inputs stand side by side.
        self._into_local = _at_points(torch.cat([weights.local, weights.to_local], dim=1)).to(kind.device, kind.dtype)
        self._into_global = _at_points(weights.to_global).to(kind.device, kind.dtype)
        self._to_points = _squared(_FROM_PIXELS).to(kind.device, kind.dtype)
        self._to_pixels = _squared(_TO_PIXELS).to(kind.device, kind.dtype)
        # The shift is one more row under the 36, and one more column of ones takes it to every pixel.
        self._to_shifted_pixels = torch.cat([self._to_pixels, torch.ones_like(self._to_pixels[:, :1])], dim=1)
        self._shift = weights.local_shift.to(kind.device, kind.dtype)

    def __call__(self, local: Tensor, wide: Tensor, scratch: Scratch) -> tuple[Tensor, Tensor]:
        batch, narrow, height, width = local.shape
        rows, columns = -(-height // _OUT_PX), -(-width // _OUT_PX)
        both = _side_by_side(local, wide, rows, columns, scratch)
        channels = both.shape[-1]
        results = [both.new_empty(batch, rows, _OUT_PX, columns, _OUT_PX, n) for n in (narrow, channels - narrow)]
        step = max(1, _BAND_BYTES // (_POINTS * columns * channels * both.element_size()))
        for picture in range(batch):
            for top in range(0, rows, step):
                tiles = (min(step, rows - top), columns)
                points = self._points(both[picture], top, tiles, scratch)
                for result, pixels in zip(results, self._pixels(points, narrow, scratch), strict=True):
                    shape = (_OUT_PX, _OUT_PX, *tiles, -1)
                    result[picture, top : top + tiles[0]].permute(1, 3, 0, 2, 4).copy_(pixels.view(shape))
        near, far = (_cropped(result, height, width) for result in results)
        return near.relu_(), far

    def _points(self, pixels: Tensor, top: int, tiles: tuple[int, int], scratch: Scratch) -> Tensor:
        """``(36, tiles, C)`` from the patches of ``(H, W, C)`` that begin in the tile row ``top``."""
        down, across, channel = pixels.stride()
        shape = (_IN_PX, _IN_PX, *tiles, pixels.shape[-1])
        strides = (down, across, _OUT_PX * down, _OUT_PX * across, channel)
        overlapping = pixels.as_strided(shape, strides, pixels.storage_offset() + _OUT_PX * top * down)
        patches = scratch.take("patches", pixels, *shape).copy_(overlapping).view(_POINTS, -1)
        points = torch.mm(self._to_points, patches, out=scratch.take("points", pixels, *patches.shape))
        return points.view(_POINTS, -1, pixels.shape[-1])

    def _pixels(self, points: Tensor, narrow: int, scratch: Scratch) -> tuple[Tensor, Tensor]:
        """The convolutions, and back: ``(16, tiles * C)`` of the local and of the global channels."""
        tiles, channels = points.shape[1:]
        near = scratch.take("near", points, _POINTS + 1, tiles, narrow)
        torch.bmm(points, self._into_local, out=near[:_POINTS])
        near[_POINTS] = self._shift
        far = scratch.take("far", points, _POINTS, tiles, channels - narrow)
        torch.bmm(points[..., :narrow], self._into_global, out=far)
        return self._to_shifted_pixels @ near.view(_POINTS + 1, -1), self._to_pixels @ far.view(_POINTS, -1)


def _side_by_side(local: Tensor, wide: Tensor, rows: int, columns: int, scratch: Scratch) -> Tensor:
    """``(N, H, W, C)`` of all channels, mirrored by one pixel, and zeros up to whole tiles."""
    batch, narrow, height, width = local.shape
    shape = (batch, rows * _OUT_PX + 2, columns * _OUT_PX + 2, narrow + wide.shape[1])
    both = scratch.take("both", local, *shape)
    both[:, height + 2 :].zero_()
    both[:, :, width + 2 :].zero_()
    inner = both[:, : height + 2, : width + 2]
    inner[:, 1:-1, 1:-1, :narrow] = local.permute(0, 2, 3, 1)
    inner[:, 1:-1, 1:-1, narrow:] = wide.permute(0, 2, 3, 1)
    mirror(inner, 1)
    return both


def _cropped(tiles: Tensor, height: int, width: int) -> Tensor:
    """``(N, C, H, W)`` with channels last, of whole tiles in their places."""
    batch, rows, _, columns, _, channels = tiles.shape
    pixels = tiles.view(batch, rows * _OUT_PX, columns * _OUT_PX, channels)
    return pixels[:, :height, :width].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _at_points(weight: Tensor) -> Tensor:
    """A filter's values at the points: ``(out, in, 3, 3)`` to ``(36, in, out)``, in float64."""
    matrix = torch.tensor(_FROM_FILTER, dtype=torch.float64)
    values = torch.einsum("ia,ocab,jb->ijco", matrix, weight.double().cpu(), matrix)
    return values.reshape(_POINTS, weight.shape[1], weight.shape[0])


def _squared(matrix: tuple[tuple[int, ...], ...]) -> Tensor:
    """The transform of columns and rows at once."""
    one = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(one, one)
