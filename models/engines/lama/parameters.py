"""What a LaMa file holds: the generator's tensors, found whatever the exporter put before their names."""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch

State = Mapping[str, torch.Tensor]
"""Names as in the paper's code, counted from the generator's first layer: ``1.ffc.convl2l.weight``."""

_STEM = re.compile(r"^(?P<prefix>.*?)1\.ffc\.convl2l\.weight$")
_BLOCK = re.compile(r"^(\d+)\.conv1\.ffc\.convl2l\.weight$")
_DOWN = re.compile(r"^(\d+)\.ffc\.convl2l\.weight$")
_UP = re.compile(r"^(\d+)\.(weight|bias)$")


class NotLama(Exception):
    """The file loads, but is not a generator of this architecture."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the layers stand in the generator's sequence (padding, joining and activations count, but hold nothing)."""

    downs: tuple[int, ...]
    blocks: tuple[int, ...]
    ups: tuple[int, ...]
    last: int


def is_torchscript(path: Path) -> bool:
    """A TorchScript archive holds code; a plain checkpoint does not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def is_checkpoint(path: Path) -> bool:
    """A plain checkpoint in torch's zip format."""
    return zipfile.is_zipfile(path) and not is_torchscript(path)


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """A plain checkpoint's tensors; a training checkpoint's are below ``state_dict``. Raises ``NotLama``."""
    try:
        # Data only: pickled code in a checkpoint would run here.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, ValueError) as error:
        raise NotLama("the checkpoint does not load as plain tensors") from error
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    return {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}


def generator_state(state: State) -> State:
    """The generator's tensors under their own names. Raises ``NotLama``."""
    prefixes = {match["prefix"] for name in state if (match := _STEM.match(name))}
    # A training checkpoint also holds a running average of the generator; the shortest prefix is the generator.
    if not prefixes:
        raise NotLama("there is no Fourier convolution where LaMa's generator has its first layer")
    prefix = min(prefixes, key=lambda text: (len(text), text))
    return {name.removeprefix(prefix): tensor.detach() for name, tensor in state.items() if name.startswith(prefix)}


def layout(state: State) -> Layout:
    """Read off the names which layers there are. Raises ``NotLama`` for what is not this architecture."""
    downs = sorted(int(match[1]) for name in state if (match := _DOWN.match(name)) and match[1] != "1")
    blocks = sorted(int(match[1]) for name in state if (match := _BLOCK.match(name)))
    plain = sorted({int(match[1]) for name in state if (match := _UP.match(name)) and state[name].dim() == 4})
    if not downs or not blocks or len(plain) != len(downs) + 1:
        raise NotLama(f"{len(downs)} downsamplings, {len(blocks)} blocks, {len(plain)} plain convolutions")
    if any(".lfu." in name or ".gate." in name for name in state):
        raise NotLama("local Fourier units and gates are not known here")
    if state["1.ffc.convl2l.weight"].shape[1] != 4:
        raise NotLama("the generator does not take an image and a mask")
    return Layout(tuple(downs), tuple(blocks), tuple(plain[:-1]), plain[-1])
