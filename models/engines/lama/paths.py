"""The three 3x3 convolutions of a Fourier convolution layer, plainly or with a quarter of the multiplications."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.engines.lama.layers import Convolution, Kind, mirror, reflect
from models.engines.lama.winograd import OUT_PX, POINTS, Scratch, filters_at_points, transform

_BAND_BYTES = 16 << 20
"""Of a band of tiles at the points: what bounds the memory. Smaller ones read the filters more often, which costs
float32 a tenth of a pass at 512 pixels squared."""


@dataclass(frozen=True, slots=True)
class PathWeights:
    """Batch norms folded in; each weight is ``(out, in, 3, 3)``."""

    local: Tensor
    to_local: Tensor
    to_global: Tensor
    local_shift: Tensor


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
    """Band by band, at the points of ``winograd``. The price is memory: a filter has 36 values instead of 9."""

    def __init__(self, weights: PathWeights, kind: Kind) -> None:
        # One product for everything that ends in the local channels: the inputs stand side by side.
        into_local = filters_at_points(torch.cat([weights.local, weights.to_local], dim=1))
        self._into_local = into_local.to(kind.device, kind.dtype)
        self._into_global = filters_at_points(weights.to_global).to(kind.device, kind.dtype)
        self._transform = transform(self._into_local)
        self._shift = weights.local_shift.to(kind.device, kind.dtype)

    def __call__(self, local: Tensor, wide: Tensor, scratch: Scratch) -> tuple[Tensor, Tensor]:
        batch, narrow, height, width = local.shape
        rows, columns = -(-height // OUT_PX), -(-width // OUT_PX)
        both = _side_by_side(local, wide, rows, columns, scratch)
        channels = both.shape[-1]
        near, far = (both.new_empty(batch, rows, OUT_PX, columns, OUT_PX, n) for n in (narrow, channels - narrow))
        row_bytes = POINTS * columns * channels * both.element_size()
        # Even ones: a narrow last band would read all filters for a few tiles.
        step = -(-rows // max(1, round(rows * row_bytes / _BAND_BYTES)))
        for picture in range(batch):
            for top in range(0, rows, step):
                tiles = (min(step, rows - top), columns)
                points = self._transform.to_points(both[picture], top, tiles, scratch)
                band = slice(top, top + tiles[0])
                self._products(points, self._into_local, self._shift, near[picture, band], scratch)
                self._products(points[..., :narrow], self._into_global, None, far[picture, band], scratch)
        return _cropped(near, height, width).relu_(), _cropped(far, height, width)

    def _products(
        self, points: Tensor, filters: Tensor, shift: Tensor | None, result: Tensor, scratch: Scratch
    ) -> None:
        """The convolutions of a band; ``result`` is ``(rows, 4, columns, 4, C)``."""
        filtered = scratch.take("filtered", points, POINTS + 1, points.shape[1], filters.shape[2])
        torch.bmm(points, filters, out=filtered[:POINTS])
        self._transform.to_pixels(filtered, shift, result, scratch)


def _side_by_side(local: Tensor, wide: Tensor, rows: int, columns: int, scratch: Scratch) -> Tensor:
    """``(N, H, W, C)`` of all channels, mirrored by one pixel, and zeros up to whole tiles."""
    batch, narrow, height, width = local.shape
    shape = (batch, rows * OUT_PX + 2, columns * OUT_PX + 2, narrow + wide.shape[1])
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
    pixels = tiles.view(batch, rows * OUT_PX, columns * OUT_PX, channels)
    return pixels[:, :height, :width].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
