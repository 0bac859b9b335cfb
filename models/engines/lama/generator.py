"""The generator: a stem, downsamplings, residual blocks of Fourier convolutions, upsamplings."""

import torch
from torch import Tensor

from models.engines.lama.layers import Convolution, Kind, UpConvolution, batch_norm, reflect
from models.engines.lama.parameters import State, layout


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
        spectrum = torch.fft.rfft2(x.float(), norm="ortho").permute(0, 2, 3, 1)
        parts = torch.view_as_real(spectrum).to(self._dtype, memory_format=torch.contiguous_format)
        mixed = self._mix(parts.reshape(batch, height, -1, 2 * channels).permute(0, 3, 1, 2))
        pairs = mixed.permute(0, 2, 3, 1).reshape(batch, height, -1, channels, 2).float()
        spectrum = torch.view_as_complex(pairs).permute(0, 3, 1, 2)
        y: Tensor = torch.fft.irfft2(spectrum, s=(height, width), norm="ortho")
        return y.to(self._dtype, memory_format=torch.channels_last)


class FourierConvolution:
    """One FFC layer with its batch norms and ReLUs: local and global channels in, local and global channels out."""

    def __init__(self, state: State, name: str, kind: Kind) -> None:
        factor, shift = batch_norm(state, f"{name}.bn_l")
        out = batch_norm(state, f"{name}.bn_g")
        ffc = f"{name}.ffc"
        self._local = Convolution(_scaled(state[f"{ffc}.convl2l.weight"], factor), None, kind)
        self._to_local = Convolution(_scaled(state[f"{ffc}.convg2l.weight"], factor), shift, kind, relu=True)
        self._to_global = Convolution(_scaled(state[f"{ffc}.convl2g.weight"], out[0]), None, kind)
        self._spectral = SpectralTransform(state, f"{ffc}.convg2g", out, kind)

    def __call__(self, local: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
        padded = reflect(local, 1)
        wide_out = self._spectral(wide, self._to_global(padded))
        return self._to_local(reflect(wide, 1), self._local(padded)), wide_out


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
        self._ups = [UpConvolution(state, index, kind) for index in place.ups]
        self._last = Convolution(state[f"{place.last}.weight"], state[f"{place.last}.bias"], kind)

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self.kind.device, self.kind.dtype, memory_format=torch.channels_last)
        x = self._stem(reflect(x, 3))
        for down in self._downs:
            x = down(reflect(x, 1))
        padded = reflect(x, 1)
        local, wide = self._split_local(padded), self._split_global(padded)
        for first, second in self._blocks:
            local_out, wide_out = second(*first(local, wide))
            local, wide = local_out.add_(local), wide_out.add_(wide)
        x = torch.cat([local, wide], dim=1)
        for up in self._ups:
            x = up(x)
        result: Tensor = self._last(reflect(x, 3)).float().sigmoid_()
        return result

    def _plain_down(
        self, state: State, index: int, stride: int, path: str = "convl2l", norm: str = "bn_l"
    ) -> Convolution:
        factor, shift = batch_norm(state, f"{index}.{norm}")
        weight = _scaled(state[f"{index}.ffc.{path}.weight"], factor)
        return Convolution(weight, shift, self.kind, stride=stride, relu=True)


def _scaled(weight: Tensor, factor: Tensor) -> Tensor:
    return weight * factor[:, None, None, None]
