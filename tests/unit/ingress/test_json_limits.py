"""What JSON may take in memory, whatever is in it."""

import json
import tracemalloc
from typing import Any

import pytest

from ingress import json_limits
from ingress.errors import UnreadableBody
from tests.support.fakes import config

PICTURE = "iVBORw0KGgo/+abc" * 120_000
MIB = 2**20


@pytest.mark.parametrize("prompt", ["去除文字" * 2500, "é" * 10_000, "😀" * 10_000, 'a "quoted" \\ one', ""])
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("between", ["", "\n"])
def test_a_prompt_in_any_script_goes_beside_a_large_picture(prompt: str, ascii_only: bool, between: str) -> None:
    sent = {
        "image": PICTURE + between,
        "prompt": prompt,
        "negative_prompt": prompt,
        "mask": between.join(PICTURE[:999]),
    }
    body = json.dumps(sent, ensure_ascii=ascii_only).encode()
    assert json_limits.parse(body, config()) == sent
    for old, new in (("/", "\\/"), ("+", "\\u002B")):  # as PHP and .NET write base64
        assert json_limits.parse(body.replace(old.encode(), new.encode()), config()) == sent


@pytest.mark.parametrize("wide", ["😀", "中", "\\ud83d\\ude00", "\\u4e2d"])
@pytest.mark.parametrize(
    "junk",
    [
        lambda wide: "a" * 2 * MIB + wide,
        lambda wide: wide + "a" * 2 * MIB,
        lambda wide: "a" * MIB + wide + "a" * MIB,
        lambda wide: "a" * 2 * MIB + '\\"' + wide,
        lambda wide: wide + '\\"' + "a" * 2 * MIB,
        lambda wide: wide + '\\" , \\"' + "a" * 2 * MIB + '\\" : \\"',
        lambda wide: ('\\"' + "a" * 70_000) * 30 + wide,
        lambda wide: '", "a": "'.join(["a" * 100_000 + wide] * 20),
        lambda wide: wide * MIB,
    ],
    ids=["last", "first", "amid", "after a quote", "before a quote", "like a field", "pieces", "many", "all"],
)
def test_wide_text_is_refused_before_it_takes_its_fourfold(wide: str, junk: Any) -> None:
    body = f'{{"image": "aaaa", "junk": "{junk(wide)}"}}'.encode()
    tracemalloc.start()
    with pytest.raises(UnreadableBody, match="too much text"):
        json_limits.parse(body, config())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MIB


def test_ascii_may_be_long_in_any_field() -> None:
    sent = {"image": "aaaa", "unknown": "a" * 2 * MIB}
    assert json_limits.parse(json.dumps(sent).encode(), config()) == sent
