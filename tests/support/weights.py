"""Small weights files in the real formats."""

from pathlib import Path

import torch


class TinyLama(torch.nn.Module):
    """The signature of IOPaint's LaMa file: image and mask in 0..1, ``(1, 3, H, W)`` and ``(1, 1, H, W)``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 3, 5, padding=2)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        known = image * (1 - mask)
        filled = torch.sigmoid(self.conv(torch.cat([known, mask.to(known.dtype)], dim=1)))
        return mask * filled + (1 - mask) * image


class Columns(torch.nn.Module):
    """The same signature; a network that knows one thing: that every column of pixels is a straight ramp."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        known = (1 - mask).to(image.dtype)
        y = torch.linspace(-1, 1, image.shape[2], device=image.device).view(1, 1, -1, 1)
        count, along, square = known.sum(2, True), (known * y).sum(2, True), (known * y * y).sum(2, True)
        value, product = (known * image).sum(2, True), (known * image * y).sum(2, True)
        slope = (count * product - along * value) / (count * square - along * along).clamp(min=1e-6)
        level = (value - slope * along) / count.clamp(min=1)
        return mask * (level + slope * y).clamp(0, 1) + known * image


class TinyLine(torch.nn.Module):
    """The signature of the manga model's line finder."""

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        return 255 - gray


class TinyManga(torch.nn.Module):
    """The signature of the manga model's inpainter; everything in -1..1."""

    def forward(
        self, gray: torch.Tensor, lines: torch.Tensor, mask: torch.Tensor, noise: torch.Tensor, ones: torch.Tensor
    ) -> torch.Tensor:
        return gray * (ones - mask) + torch.tanh(noise) * 0.1 * mask + 0.0 * lines


def save(module: torch.nn.Module, path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    torch.jit.script(module.eval()).save(str(path))  # type: ignore[no-untyped-call]
    return path


def save_lama(folder: Path, module: torch.nn.Module | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return save(module or TinyLama(), folder / "big-lama.pt")
