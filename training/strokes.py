"""Trains the stroke network: `python -m training.strokes SHARDS OUT.npz`. One core, about an hour."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.strokes.network import StrokeNet, features, save

_BATCH = 32
_RATE = 3e-3
_HEIGHT, _WIDTH = 96, 192
_RING_WEIGHT, _STROKE_WEIGHT = 0.25, 2.0
_CHECKPOINT_STEPS = 100


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(options.seed)
    # The order of memory that the processor's convolutions like: two fifths of the time saved.
    net, mean = StrokeNet(), StrokeNet()
    for one in (net, mean):
        one.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stubs leave this one out
    if options.start:
        from models.strokes.network import load

        net.load_state_dict(load(options.start).state_dict())
    mean.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.rate, options.steps, pct_start=0.08)
    started, lost = time.monotonic(), 0.0
    for step, batch in enumerate(_batches(options.shards, options.seed), 1):
        loss = _loss(net, batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        keep = min(0.995, step / (step + 20))
        with torch.no_grad():
            for slow, fast in zip(mean.parameters(), net.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
        lost = 0.98 * lost + 0.02 * loss.item() if step > 1 else loss.item()
        if step % _CHECKPOINT_STEPS == 0 or step == options.steps:
            save(mean, options.out)
            print(f"{step}/{options.steps} loss {lost:.4f} after {time.monotonic() - started:.0f} s", flush=True)
        if step == options.steps:
            return


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=18_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=_RATE)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    return parser.parse_args()


def _batches(folder: Path, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Random samples of all shards that are there by then; a third of the batches on their side."""
    random = np.random.default_rng(seed)
    shards: list[NDArray[np.uint8]] = []
    for step in range(10**9):
        if step % _CHECKPOINT_STEPS == 0:
            shards = [np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))]
        rows = [shards[int(random.integers(len(shards)))] for _ in range(_BATCH)]
        batch = np.stack([_window(shard[int(random.integers(len(shard)))], random) for shard in rows])
        if random.random() < 0.33:
            batch = batch.transpose(0, 2, 1, 3)
        for axis in (1, 2):
            if random.random() < 0.3:
                batch = np.flip(batch, axis)
        batch = np.ascontiguousarray(batch)
        if random.random() < 0.3:
            batch[..., :3] = 255 - batch[..., :3]
        yield batch


def _window(sample: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """A part of the sample about some place of its region."""
    rows, columns = np.nonzero(sample[..., 4])
    at = int(random.integers(len(rows)))
    top = int(np.clip((rows[at] + rows[0] + rows[-1]) // 3 - _HEIGHT // 2, 0, sample.shape[0] - _HEIGHT))
    left = int(np.clip((columns[at] + columns.min() + columns.max()) // 3 - _WIDTH // 2, 0, sample.shape[1] - _WIDTH))
    return sample[top : top + _HEIGHT, left : left + _WIDTH]


def _loss(net: StrokeNet, batch: NDArray[np.uint8]) -> Tensor:
    """Within the region: cross-entropy, gentle about the two pixels around a stroke, and the overlap (Dice)."""
    given = torch.from_numpy(
        np.stack([features(s[..., :3], s[..., 4] > 0, s[..., 5] > 0, s[..., 6].astype(np.float32) / 2) for s in batch])
    )
    strokes = torch.from_numpy(batch[..., 3]).float()[:, None]
    inside = torch.from_numpy(batch[..., 4]).float()[:, None]
    target = functional.max_pool2d(strokes, 3, 1, 1)
    ring = functional.max_pool2d(strokes, 5, 1, 2) - strokes
    weight = inside * (1 + (_STROKE_WEIGHT - 1) * strokes - (1 - _RING_WEIGHT) * ring)
    # Half of the time on processors that multiply bfloat16; the weights and the loss stay in single precision.
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(given).float()
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # Every region counts the same, whatever its size.
    entropy = ((entropy * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1)).mean()
    found = torch.sigmoid(logits) * weight
    shared = (found * target).sum((1, 2, 3))
    dice = 1 - (2 * shared + 20) / (found.sum((1, 2, 3)) + (target * weight).sum((1, 2, 3)) + 20)
    return entropy + 0.5 * dice.mean()


if __name__ == "__main__":
    main()
