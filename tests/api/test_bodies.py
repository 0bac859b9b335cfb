"""JSON and base64 as clients of every sort write them: line breaks, marks, prefixes; and what is none of it."""

import base64
import json
import textwrap

import pytest

from tests.api.test_rest import BODY, IMAGE, Api

PATH = "/api/v1/inpaint-regions"
JSON = {"content-type": "application/json"}
TEXT = base64.b64encode(IMAGE).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "data:image/png;base64," + TEXT,
        "\r\n".join(textwrap.wrap(TEXT, 76)),
        "data:image/png;base64,\n" + "\n".join(textwrap.wrap(TEXT, 64)) + "\n",
        " \t" + TEXT + "\v\f ",
    ],
    ids=["plain", "prefixed", "mime", "prefixed and wrapped", "padded"],
)
def test_base64_may_be_wrapped_and_prefixed(text: str) -> None:
    assert Api().post("inpaint-regions", BODY | {"image": text}).status_code == 200


@pytest.mark.parametrize(
    "text",
    [TEXT[:-4] + "ab=c", TEXT[:-3], TEXT[:40] + "*" + TEXT[41:], "äöü", TEXT.replace("/", "_") + "-", "====", "="],
)
def test_what_is_no_base64_is_refused(text: str) -> None:
    answer = Api().post("inpaint-regions", BODY | {"image": text})
    assert answer.status_code == 400
    assert "base64" in answer.json()["detail"]


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b" \r\n\t"], ids=["plain", "byte order mark", "space"])
def test_json_may_begin_with_a_mark(before: bytes) -> None:
    answer = Api().client.post(PATH, content=before + json.dumps(BODY).encode(), headers=JSON)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"image": "x"} more',
        b"{'image': 'x'}",
        b'{"image": "\xff"}',
        b'{"image": "\\ud800"}',
        b'{"image": "x",}',
        b'{"regions": [NaN]}',
        b'{"regions": ' + b"[" * 500 + b"]" * 500 + b"}",
    ],
    ids=["empty", "cut", "more", "quotes", "no UTF-8", "half a character", "comma", "no number", "nested"],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    answer = Api().client.post(PATH, content=body, headers=JSON)
    assert answer.status_code == 400, answer.text


def test_huge_numbers_harm_nobody() -> None:
    body = json.dumps(BODY).replace('"x": 10', '"x": 1' + "0" * 4000)
    assert Api().client.post(PATH, content=body, headers=JSON).status_code in (400, 422)
