"""Does a fast generator say what the TorchScript module says? Asked each time a file is loaded."""

from collections.abc import Callable

import torch
from torch import Tensor

from models.engines.lama.decoder import areas_of
from models.engines.lama.generator import Generator

_HEIGHT_PX, _WIDTH_PX = 136, 120
"""Odd sizes at the depth of the spectra, where a transform back can go wrong by a column."""
_MAX_FLOAT32 = 1e-4
_MEAN_BFLOAT16 = 2 / 255

Reference = Callable[[Tensor, Tensor], Tensor]
"""Image ``(1, 3, H, W)`` in 0..1 and mask ``(1, 1, H, W)`` of 0 and 1 to the filled image."""


def fill(generator: Generator, image: Tensor, mask: Tensor) -> Tensor:
    """What the exported module does around its generator. ``(N, 3, H, W)`` and ``(N, 1, H, W)``, float32 in 0..1."""
    filled = generator(torch.cat([image * (1 - mask), mask], dim=1), areas_of(mask))
    return torch.where(mask > 0, filled.to(image.device), image)


def disagreement(generator: Generator, reference: Reference, device: torch.device) -> str:
    """Empty when they agree: float32 to 1e-4 everywhere, bfloat16 to 2/255 on average inside the mask."""
    image, mask = _probe(device)
    ours = fill(generator, image, mask)
    error = (ours - reference(image, mask.to(torch.int64)).float()).abs()
    if generator.kind.dtype is torch.float32:
        worst = float(error.max())
        return "" if worst <= _MAX_FLOAT32 else f"it differs by {worst:.2g} (at most {_MAX_FLOAT32:g} is allowed)"
    mean = float(error[mask.expand_as(error) > 0].mean())
    return "" if mean <= _MEAN_BFLOAT16 else f"it differs by {mean * 255:.1f}/255 on average (at most 2)"


def _probe(device: torch.device) -> tuple[Tensor, Tensor]:
    """Gradients with noise, and two holes, one of them at the border."""
    source = torch.Generator().manual_seed(0)
    rows = torch.linspace(0, 1, _HEIGHT_PX)[:, None]
    columns = torch.linspace(0, 1, _WIDTH_PX)[None, :]
    image = torch.stack([(rows + columns) / 2, rows * columns, (1 - rows).expand(-1, _WIDTH_PX)])[None]
    image = (image + 0.2 * torch.rand(image.shape, generator=source)).clamp(0, 1)
    mask = torch.zeros(1, 1, _HEIGHT_PX, _WIDTH_PX)
    mask[..., 30:60, 20:90] = 1
    mask[..., 100:, 70:] = 1
    return image.to(device), mask.to(device)
