"""A TorchScript file that does not load: whose fault it is."""

from pathlib import Path

import pytest
import torch

from models.engines.torchscript import read_script, refuse
from models.errors import ModelUnavailable
from models.weights import BadWeights

CPU = torch.device("cpu")


@pytest.mark.parametrize("held", [b"", b"no archive", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "empty zip"])
def test_a_file_that_is_none_is_bad(tmp_path: Path, held: bytes) -> None:
    path = tmp_path / "big-lama.pt"
    path.write_bytes(held)
    with pytest.raises(BadWeights):
        read_script("lama", path, CPU)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")])
def test_memory_that_is_short_is_not_the_files_fault(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "big-lama.pt"
    path.touch()
    with pytest.raises(ModelUnavailable, match=r"lama does not fit on its device: (MemoryError|CUDA out of memory\.)$"):
        refuse("lama", path, error)
