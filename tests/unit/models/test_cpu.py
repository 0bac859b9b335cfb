"""What a replica's process is told about its processor."""

import subprocess
import sys

from tests.support.service import ROOT

_TWO_PASSES = """
import torch
from models import cpu
{before}
cpu.prepare(1)
{after}
assert torch.backends.mkldnn.is_available()
pictures = [torch.ones(1, 16, side, side) for side in (32, 64, 96)]
weight = torch.ones(16, 16, 3, 3)
with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON_CREATION):
    for _ in range(2):
        for picture in pictures:
            torch.ops.mkldnn._convolution_pointwise(picture, weight, None, [0, 0], [1, 1], [1, 1], 1, "none", [], "")
"""


def _created(before: str, after: str) -> list[str]:
    """``hit`` or ``miss`` of each convolution, in order."""
    code = _TWO_PASSES.format(before=before, after=after)
    said = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    lines = [line for line in said.splitlines() if ",convolution," in line]
    return [line.split("create:cache_")[1].split(",")[0] for line in lines if "create:" in line]


def test_what_is_compiled_for_a_pass_is_there_for_the_next_whatever_iopaint_says() -> None:
    expected = ["miss"] * 3 + ["hit"] * 3
    assert _created("", "import iopaint") == expected
    assert _created("import iopaint", "") == expected
