"""A small U-Net that tells strokes of text from what they stand on (Ronneberger et al., 2015, much reduced).

It works on half of the resolution (pixels are folded into channels) and is told the region, the other regions and how
novel each colour is; means over the region and its surroundings tell every
pixel what the text looks like. 0.18 million parameters.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.engine import Checkpoint, Image
from models.strokes.novelty import Bools, Field

IN_CHANNELS = 6
"""RGB, the region, other regions, novelty: about -1 to 1 (see ``features``)."""
ALIGN_PX = 8
WEIGHTS = Path(__file__).with_name("strokes.npz")
_TILE_PX, _OVERLAP_PX = 512, 64
_WIDTHS = (16, 32, 56)


class StrokeNet(nn.Module):
    """``(N, 6, H, W)`` to logits ``(N, 1, H, W)``; ``H`` and ``W`` are multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = _WIDTHS
        self.enter = nn.Sequential(_conv(IN_CHANNELS * 4, fine), _conv(fine, fine))
        self.down1 = nn.Sequential(_conv(fine, middle, stride=2), _conv(middle, middle))
        self.down2 = _conv(middle, coarse, stride=2)
        self.around = nn.ModuleList(_conv(coarse, coarse, dilation=step) for step in (1, 2, 4, 1))
        self.whole = nn.Linear(2 * coarse, coarse)
        self.up1 = nn.Conv2d(coarse, middle * 4, 1)
        self.join1 = _conv(middle, middle)
        self.up2 = nn.Conv2d(middle, fine * 4, 1)
        self.join2 = _conv(fine, fine)
        self.leave = nn.Conv2d(fine, 4, 1)

    def forward(self, given: Tensor) -> Tensor:
        fine = self.enter(functional.pixel_unshuffle(given, 2))
        middle = self.down1(fine)
        coarse = self.down2(middle)
        for number, step in enumerate(self.around):
            coarse = coarse + step(coarse)
            if number == 0:
                coarse = coarse + self.whole(_means(coarse, given[:, 3:4]))[:, :, None, None]
        middle = self.join1(middle + functional.pixel_shuffle(self.up1(coarse), 2))
        fine = self.join2(fine + functional.pixel_shuffle(self.up2(middle), 2))
        return functional.pixel_shuffle(self.leave(fine), 2)


def _means(coarse: Tensor, inside: Tensor) -> Tensor:
    """Of each channel within the region, and in the rest of the crop: ``(N, 2 C)``."""
    within = functional.avg_pool2d(inside, ALIGN_PX)
    return torch.cat([(coarse * w).sum((2, 3)) / (w.sum((2, 3)) + 1) for w in (within, 1 - within)], 1)


def _conv(before: int, after: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, dilation, dilation), nn.ReLU(inplace=True))


def stroke_probability(rgb: Image, inside: Bools, others: Bools, novelty: Field, checkpoint: Checkpoint) -> Field:
    """Of each pixel of a crop ``(H, W)``, 0 to 1; large ones are run in tiles. Other arguments as of ``features``."""
    height, width = inside.shape
    found = np.empty(inside.shape, np.float32)
    net = _shipped()
    with torch.inference_mode():
        for top in range(0, height, _TILE_PX):
            for left in range(0, width, _TILE_PX):
                checkpoint()
                above, before = min(top, _OVERLAP_PX), min(left, _OVERLAP_PX)
                tile = (
                    slice(top - above, top + _TILE_PX + _OVERLAP_PX),
                    slice(left - before, left + _TILE_PX + _OVERLAP_PX),
                )
                given = _aligned(features(rgb[tile], inside[tile], others[tile], novelty[tile]))
                pixels = torch.from_numpy(given)[None].contiguous(memory_format=torch.channels_last)
                inner = torch.sigmoid(net(pixels))[0, 0, above:, before:]
                part = found[top : top + _TILE_PX, left : left + _TILE_PX]
                part[:] = inner[: part.shape[0], : part.shape[1]].numpy()
    return found


def _aligned(given: Field) -> Field:
    """Features ``(6, H, W)`` with their last pixels repeated until both sides fit; what is added is in no region."""
    _, height, width = given.shape
    padded = np.pad(given, ((0, 0), (0, -height % ALIGN_PX), (0, -width % ALIGN_PX)), mode="edge")
    padded[3, height:], padded[3, :, width:] = 0, 0
    return padded


@cache
def _shipped() -> StrokeNet:
    return load()


def features(rgb: Image, inside: Bools, others: Bools, novelty: Field) -> Field:
    """What the network sees of a crop: ``(6, H, W)`` from ``(H, W, 3)`` and three of ``(H, W)``."""
    given = np.empty((IN_CHANNELS, *inside.shape), np.float32)
    given[:3] = rgb.transpose(2, 0, 1)
    given[:3] *= 1 / 127.5
    given[:3] -= 1
    given[3], given[4] = inside, others
    given[5] = novelty / 40
    return given


def save(net: StrokeNet, file: Path) -> None:
    """In half precision, as one compressed NumPy archive."""
    np.savez_compressed(file, **{name: value.half().numpy() for name, value in net.state_dict().items()})


def load(file: Path = WEIGHTS) -> StrokeNet:
    """For inference, in single precision."""
    net = StrokeNet()
    with np.load(file) as stored:
        net.load_state_dict({name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored.files})
    for weight in net.parameters():
        # So oneDNN takes pixels as they come: otherwise it moves them into another order for each layer, and back.
        if weight.dim() == 4:
            weight.data = weight.contiguous(memory_format=torch.channels_last)
    return net.requires_grad_(False).eval()
