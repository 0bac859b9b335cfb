"""Folded layers: a convolution with what follows it (batch norm, addition, ReLU) in one pass over the pixels."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models import cpu
from models.engines.lama.parameters import State

_BATCH_NORM_EPS = 1e-5
_TYPICAL_SIZE = (64, 64)
"""The packing of weights that oneDNN picks depends on the picture; without any size it guesses, and guesses badly."""

Scale = tuple[Tensor, Tensor]
"""A batch norm in inference: factor and shift per channel."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Where and in which numbers a network runs."""

    device: torch.device
    dtype: torch.dtype
    winograd: bool = False
    """3x3 convolutions with a quarter of the multiplications; what a GPU's library decides by itself."""

    @property
    def fused(self) -> bool:
        """oneDNN's convolutions take packed weights, and add and clamp on the way out. Not each processor's know
        bfloat16."""
        return self.device.type == "cpu" and cpu.fused_convolutions(self.dtype)


def batch_norm(state: State, name: str) -> Scale:
    """The factor and the shift that the batch norm ``name`` comes down to."""
    factor = state[f"{name}.weight"] / torch.sqrt(state[f"{name}.running_var"] + _BATCH_NORM_EPS)
    return factor, state[f"{name}.bias"] - state[f"{name}.running_mean"] * factor


class Convolution:
    """``relu(conv(x) + bias + addend)``, no padding; ``weight`` is ``(out, in, k, k)``, channels last throughout."""

    def __init__(self, weight: Tensor, bias: Tensor | None, kind: Kind, *, stride: int = 1, relu: bool = False) -> None:
        self._stride = [stride, stride]
        self._relu = relu
        self._fused = kind.fused
        self._weight: Any = weight.to(kind.device, kind.dtype).contiguous(memory_format=torch.channels_last)
        self._bias = None if bias is None else bias.to(kind.device, kind.dtype)
        # Those of 1 want another packing at almost every size, and the wrong one is packed anew in every pass by code
        # that is many times slower than the convolution; plain weights are packed by fast code. So it is with all of
        # them where vectors are shorter than AVX-512's.
        if self._fused and weight.shape[-1] > 1 and cpu.has_avx512():
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(
                self._weight, [0, 0], self._stride, [1, 1], 1, [1, weight.shape[1], *_TYPICAL_SIZE]
            )

    def __call__(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        if not self._fused:
            y = functional.conv2d(x, self._weight, self._bias, self._stride)
            y = y if addend is None else y.add_(addend)
            return y.relu_() if self._relu else y
        shape: tuple[Any, ...] = (self._weight, self._bias, [0, 0], self._stride, [1, 1], 1)
        after = "relu" if self._relu else None
        if addend is None:
            y = torch.ops.mkldnn._convolution_pointwise(x, *shape, after or "none", [], "")
        else:
            # In place: the addend is always an intermediate result that nothing else reads.
            y = torch.ops.mkldnn._convolution_pointwise_.binary(addend, x, *shape, "add", None, after, [], None)
        assert isinstance(y, Tensor)
        return y


class UpConvolution:
    """Doubles the size: transposed convolution of 3, its batch norm folded, then ReLU."""

    def __init__(self, state: State, index: int, kind: Kind) -> None:
        factor, shift = batch_norm(state, str(index + 1))
        weight = state[f"{index}.weight"] * factor[None, :, None, None]
        self._weight = weight.to(kind.device, kind.dtype).contiguous(memory_format=torch.channels_last)
        self._bias = (state[f"{index}.bias"] * factor + shift).to(kind.device, kind.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        y = functional.conv_transpose2d(x, self._weight, self._bias, stride=2, padding=1, output_padding=1)
        return y.relu_()


def last_convolution(weight: Tensor, bias: Tensor, kind: Kind) -> "Convolution | TallConvolution":
    """The one that is fast where it runs."""
    return TallConvolution(weight, bias, kind) if kind.fused else Convolution(weight, bias, kind)


class TallConvolution:
    """To three channels. oneDNN fills up to 16 and multiplies for all of them: here the columns of the kernel are
    channels, ``k`` times three, of a convolution one pixel wide, whose results are added side by side.
    """

    def __init__(self, weight: Tensor, bias: Tensor, kind: Kind) -> None:
        self._out, _, _, self._columns = weight.shape
        tall = weight.permute(3, 0, 1, 2).flatten(0, 1)[..., None]
        self._tall = Convolution(tall, None, kind)
        self._bias = bias.to(kind.device, torch.float32)

    def __call__(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to float32 ``(N, 3, H - k + 1, W - k + 1)``."""
        parts = self._tall(x).permute(0, 2, 3, 1)
        width = x.shape[-1] - self._columns + 1
        total = self._bias.expand(*parts.shape[:2], width, -1).contiguous()
        for i in range(self._columns):
            total += parts[:, :, i : i + width, i * self._out : (i + 1) * self._out]
        return total.permute(0, 3, 1, 2)


def reflect(x: Tensor, width: int) -> Tensor:
    """Mirrored by ``width`` pixels on every side."""
    if x.device.type != "cpu":
        return functional.pad(x, (width, width, width, width), mode="reflect")
    # On a CPU torch does it one number at a time; whole rows are several times faster.
    batch, channels, height, columns = x.shape
    y = x.new_empty(batch, height + 2 * width, columns + 2 * width, channels)
    y[:, width:-width, width:-width] = x.permute(0, 2, 3, 1)
    mirror(y, width)
    return y.permute(0, 3, 1, 2)


def mirror(pixels: Tensor, width: int) -> None:
    """Fills the outer ``width`` pixels of ``(N, H, W, C)`` in place, without repeating the border."""
    for axis in (1, 2):
        last = pixels.shape[axis] - 1
        for i in range(width):
            pixels.select(axis, i).copy_(pixels.select(axis, 2 * width - i))
            pixels.select(axis, last - i).copy_(pixels.select(axis, last - 2 * width + i))
