"""The generator: a stem, downsamplings, residual blocks of Fourier convolutions, and the way back."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.engines.lama.decoder import Area, Decoder
from models.engines.lama.layers import Convolution, Kind, batch_norm, reflect
from models.engines.lama.parameters import State, layout
from models.engines.lama.paths import PathWeights, local_paths
from models.engines.lama.winograd import Scratch


class SpectralTransform:
    """The global path: a convolution of 1 on the whole window's spectrum, which sees everything at once."""

    def __init__(self, state: State, name: str, out: tuple[Tensor, Tensor], kind: Kind) -> None:
        """``out``: the batch norm behind the sum that this is a part of."""
        first, first_shift = batch_norm(state, f"{name}.conv1.1")
        inner, inner_shift = batch_norm(state, f"{name}.fu.bn")
        self._dtype = kind.dtype
        self._enter = Convolution(_scaled(state[f"{name}.conv1.0.weight"], first), first_shift, kind, relu=True)
        self._mix = Convolution(_scaled(state[f"{name}.fu.conv_layer.weight"], inner), inner_shift, kind, relu=True)
        self._leave = Convolution(_scaled(state[f"{name}.conv2.weight"], out[0]), out[1], kind, relu=True)

    def __call__(self, x: Tensor, local: Tensor) -> Tensor:
        """``local``: the local path's part of the sum, which is overwritten."""
        x = self._enter(x)
        result: Tensor = self._leave(self._fourier_unit(x).add_(x), local)
        return result

    def _fourier_unit(self, x: Tensor) -> Tensor:
        """Real and imaginary parts are channels side by side: what a complex tensor with channels last is anyhow."""
        batch, channels, height, width = x.shape
        # Transforms in float32: bfloat16's 8 bits would be lost in sums over a whole window.
        planes = x if x.dtype is torch.float32 else _swapped(_rows(x)).view(x.shape).float()
        spectrum = _swapped(torch.fft.rfft2(planes, norm="ortho").flatten(2))
        parts = torch.view_as_real(spectrum).to(self._dtype)
        mixed = self._mix(parts.view(batch, height, -1, 2 * channels).permute(0, 3, 1, 2))
        pairs = mixed.permute(0, 2, 3, 1).reshape(batch, height, -1, channels, 2).float()
        spectrum = torch.view_as_complex(pairs).permute(0, 3, 1, 2)
        y = torch.fft.irfft2(spectrum, s=(height, width), norm="ortho").to(self._dtype)
        return _swapped(y.flatten(2)).view(batch, height, width, channels).permute(0, 3, 1, 2)


class FourierConvolution:
    """One FFC layer with its batch norms and ReLUs: local and global channels in, local and global channels out."""

    def __init__(self, state: State, name: str, kind: Kind) -> None:
        factor, shift = batch_norm(state, f"{name}.bn_l")
        out = batch_norm(state, f"{name}.bn_g")
        ffc = f"{name}.ffc"
        weights = PathWeights(
            local=_scaled(state[f"{ffc}.convl2l.weight"], factor),
            to_local=_scaled(state[f"{ffc}.convg2l.weight"], factor),
            to_global=_scaled(state[f"{ffc}.convl2g.weight"], out[0]),
            local_shift=shift,
        )
        self._paths = local_paths(weights, kind)
        self._spectral = SpectralTransform(state, f"{ffc}.convg2g", out, kind)

    def __call__(self, local: Tensor, wide: Tensor, scratch: Scratch) -> tuple[Tensor, Tensor]:
        local, to_global = self._paths(local, wide, scratch)
        return local, self._spectral(wide, to_global)


class Generator:
    """``(N, 4, H, W)`` to ``(N, 3, H, W)`` in 0..1; H and W are multiples of 8.

    Input: the image in 0..1, zero where masked, and the mask as 0 or 1.
    """

    def __init__(self, state: State, kind: Kind) -> None:
        """Raises ``NotLama``, ``KeyError`` where a layer's tensors are missing."""
        place = layout(state)
        self.kind = kind
        self._stem = self._plain_down(state, 1, 1)
        self._downs = [self._plain_down(state, index, 2) for index in place.downs[:-1]]
        # The last downsampling brings the global channels in.
        split = place.downs[-1]
        self._split_local = self._plain_down(state, split, 2)
        self._split_global = self._plain_down(state, split, 2, "convl2g", "bn_g")
        self._blocks = [
            (FourierConvolution(state, f"{index}.conv1", kind), FourierConvolution(state, f"{index}.conv2", kind))
            for index in place.blocks
        ]
        self._decoder = Decoder(state, place, kind)

    def __call__(self, x: Tensor, areas: Sequence[Area] | None = None) -> Tensor:
        """``areas``: where the result will be used (``decoder.areas_of``); None is everywhere."""
        x = x.to(self.kind.device, self.kind.dtype, memory_format=torch.channels_last)
        x = self._stem(reflect(x, 3))
        for down in self._downs:
            x = down(reflect(x, 1))
        padded = reflect(x, 1)
        local, wide = self._split_local(padded), self._split_global(padded)
        scratch = Scratch()
        for first, second in self._blocks:
            local_out, wide_out = second(*first(local, wide, scratch), scratch)
            local, wide = local_out.add_(local), wide_out.add_(wide)
        return self._decoder(local, wide, areas)

    def _plain_down(
        self, state: State, index: int, stride: int, path: str = "convl2l", norm: str = "bn_l"
    ) -> Convolution:
        factor, shift = batch_norm(state, f"{index}.{norm}")
        weight = _scaled(state[f"{index}.ffc.{path}.weight"], factor)
        return Convolution(weight, shift, self.kind, stride=stride, relu=True)


def _scaled(weight: Tensor, factor: Tensor) -> Tensor:
    return weight * factor[:, None, None, None]


def _rows(x: Tensor) -> Tensor:
    """``(N, C, H, W)`` with channels last as ``(N, H * W, C)``."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _swapped(x: Tensor) -> Tensor:
    """``(N, A, B)`` copied as ``(N, B, A)``. torch goes through the cache block by block for two axes only."""
    return x[0].t().contiguous()[None] if len(x) == 1 else x.transpose(1, 2).contiguous()
