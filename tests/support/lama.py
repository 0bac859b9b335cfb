"""LaMa files with random values: the published architecture written out plainly, under the published names.

Suvorov et al. 2022 and Chi et al. 2020. Slow and simple on purpose: what the fast path is compared with.
"""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn


class FourierUnit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width = x.shape[0], x.shape[2], x.shape[3]
        spectrum = torch.fft.rfftn(x, dim=[-2, -1], norm="ortho")
        stacked = torch.stack([spectrum.real, spectrum.imag], dim=-1).permute(0, 1, 4, 2, 3).contiguous()
        y = torch.relu(self.bn(self.conv_layer(stacked.view([batch, -1, stacked.shape[3], stacked.shape[4]]))))
        y = y.view([batch, -1, 2, y.shape[2], y.shape[3]]).permute(0, 1, 3, 4, 2).contiguous()
        filled: Tensor = torch.fft.irfftn(
            torch.complex(y[..., 0], y[..., 1]), s=[height, width], dim=[-2, -1], norm="ortho"
        )
        return filled


class SpectralTransform(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1 = nn.Sequential(nn.Conv2d(inputs, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU())
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(x + self.fu(x))  # type: ignore[no-any-return]


def conv(inputs: int, outputs: int, size: int, stride: int, padding: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, padding, bias=False, padding_mode="reflect")


class Mixing(nn.Module):
    """Local and global channels on both sides."""

    def __init__(self, local: int, wide: int) -> None:
        super().__init__()
        self.convl2l = conv(local, local, 3, 1, 1)
        self.convl2g = conv(local, wide, 3, 1, 1)
        self.convg2l = conv(wide, local, 3, 1, 1)
        self.convg2g = SpectralTransform(wide, wide)

    def forward(self, local: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
        return self.convl2l(local) + self.convg2l(wide), self.convl2g(local) + self.convg2g(wide)


class MixingLayer(nn.Module):
    def __init__(self, local: int, wide: int) -> None:
        super().__init__()
        self.ffc = Mixing(local, wide)
        self.bn_l = nn.BatchNorm2d(local)
        self.bn_g = nn.BatchNorm2d(wide)

    def forward(self, local: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
        local, wide = self.ffc(local, wide)
        return torch.relu(self.bn_l(local)), torch.relu(self.bn_g(wide))


class Block(nn.Module):
    def __init__(self, local: int, wide: int) -> None:
        super().__init__()
        self.conv1 = MixingLayer(local, wide)
        self.conv2 = MixingLayer(local, wide)

    def forward(self, x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        local, wide = self.conv1(x[0], x[1])
        local, wide = self.conv2(local, wide)
        return x[0] + local, x[1] + wide


class LocalOnly(nn.Module):
    def __init__(self, inputs: int, outputs: int, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.convl2l = conv(inputs, outputs, size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.convl2l(x)  # type: ignore[no-any-return]


class LocalLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.ffc = LocalOnly(inputs, outputs, size, stride, padding)
        self.bn_l = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn_l(self.ffc(x)))


class Splitting(nn.Module):
    def __init__(self, inputs: int, local: int, wide: int) -> None:
        super().__init__()
        self.convl2l = conv(inputs, local, 3, 2, 1)
        self.convl2g = conv(inputs, wide, 3, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.convl2l(x), self.convl2g(x)


class SplittingLayer(nn.Module):
    def __init__(self, inputs: int, local: int, wide: int) -> None:
        super().__init__()
        self.ffc = Splitting(inputs, local, wide)
        self.bn_l = nn.BatchNorm2d(local)
        self.bn_g = nn.BatchNorm2d(wide)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        local, wide = self.ffc(x)
        return torch.relu(self.bn_l(local)), torch.relu(self.bn_g(wide))


class Join(nn.Module):
    def forward(self, x: tuple[Tensor, Tensor]) -> Tensor:
        return torch.cat([x[0], x[1]], dim=1)


def generator(base: int = 64, blocks: int = 18) -> nn.Sequential:
    """big-lama as published: 64 channels at full size, three downsamplings, 18 blocks, three quarters global."""
    deep = 8 * base
    wide = deep * 3 // 4
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), LocalLayer(4, base, 7, 1, 0)]
    layers += [LocalLayer(base, 2 * base, 3, 2, 1), LocalLayer(2 * base, 4 * base, 3, 2, 1)]
    layers += [SplittingLayer(4 * base, deep - wide, wide)]
    layers += [Block(deep - wide, wide) for _ in range(blocks)]
    layers += [Join()]
    for step in range(3):
        width = deep >> step
        layers += [nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1), nn.BatchNorm2d(width // 2)]
        layers += [nn.ReLU()]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(base, 3, 7), nn.Sigmoid())


class Exported(nn.Module):
    """The signature of IOPaint's LaMa file: image and mask in 0..1, ``(1, 3, H, W)`` and ``(1, 1, H, W)``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        known = torch.cat([image * (1 - mask), mask.to(image.dtype)], dim=1)
        filled: Tensor = mask * self.model(known) + (1 - mask) * image
        return filled


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Values with which signals neither die nor grow, and batch norms that have something to fold."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out" if isinstance(module, nn.ConvTranspose2d) else "fan_in"
            )
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.4, 0.8)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.8, 1.6)  # type: ignore[arg-type]
    return model.eval()


def wrapped(prefix: str, base: int = 64, blocks: int = 18, seed: int = 0) -> nn.Module:
    """The generator under ``prefix`` (such as ``generator.model.``) below the exported module's ``model.``."""
    model: nn.Module = randomised(generator(base, blocks), seed)
    for name in reversed([part for part in prefix.split(".") if part]):
        model = nn.Sequential(OrderedDict([(name, model)]))
    return Exported(model).eval()


def save(path: Path, prefix: str = "", base: int = 64, blocks: int = 18, seed: int = 0) -> Path:
    torch.jit.script(wrapped(prefix, base, blocks, seed)).save(str(path))  # type: ignore[no-untyped-call]
    return path
