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


def save_lama(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return save(TinyLama(), folder / "big-lama.pt")
