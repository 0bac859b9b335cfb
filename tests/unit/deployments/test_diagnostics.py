"""What a process tells of a GPU that is not there."""

import pytest
import torch

from deployments import diagnostics
from models.errors import ModelUnavailable
from models.registry import EngineConfig, load_engine


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_no_fault_of_the_heartbeat_nor_of_the_weights() -> None:
    assert diagnostics.process("cuda")["memory"].keys() == {"resident_bytes"}
    with pytest.raises(ModelUnavailable, match="no GPU can be used here"):
        load_engine("lama", EngineConfig("cuda"))
