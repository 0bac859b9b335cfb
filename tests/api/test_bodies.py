"""JSON and base64 as clients of every sort write them: line breaks, marks, prefixes; and what is none of it."""

import asyncio
import base64
import json
import textwrap
from typing import Any

import pytest

from ingress.intake import Intake
from ingress.schemas.requests import BatchItem
from tests.api.test_rest import BODY, IMAGE, Api

PATH = "/api/v1/inpaint-regions"
JSON = {"content-type": "application/json"}
TEXT = base64.b64encode(IMAGE).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "data:image/png;base64," + TEXT,
        "DATA:image/png;Base64," + TEXT,
        " \n data:image/png;base64," + TEXT,
        "\r\n".join(textwrap.wrap(TEXT, 76)),
        "data:image/png;base64,\n" + "\n".join(textwrap.wrap(TEXT, 64)) + "\n",
        " \t" + TEXT + "\v\f ",
    ],
    ids=["plain", "prefixed", "in capitals", "prefixed and padded", "mime", "prefixed and wrapped", "padded"],
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


@pytest.mark.parametrize("headers", [{}, {"content-type": ""}, {"content-type": " "}])
def test_what_does_not_say_what_it_is_is_json(headers: dict[str, str]) -> None:
    """``requests.post(url, data=json.dumps(body))`` sends no Content-Type, and the original read it."""
    for path, body in (("inpaint-regions", BODY), ("inpaint-batch", {"items": [BODY]})):
        answer = Api().client.post(f"/api/v1/{path}", content=json.dumps(body).encode(), headers=headers)
        assert answer.status_code in (200, 202), answer.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "charset=utf-8", ";"])
def test_what_says_that_it_is_something_else_is_refused(kind: str) -> None:
    for path in ("inpaint-regions", "inpaint-batch"):
        answer = Api().client.post(f"/api/v1/{path}", content=json.dumps(BODY), headers={"content-type": kind})
        assert answer.status_code == 415, answer.text


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


def test_files_are_hashed_once_each_and_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed_on_loop = []
    real = Intake.content_sha256

    def content_sha256(self: Intake[BatchItem]) -> str:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            hashed_on_loop.append(False)
        else:
            hashed_on_loop.append(True)
        return real(self)

    monkeypatch.setattr(Intake, "content_sha256", content_sha256)
    api = Api()
    for path, body in (("inpaint-regions-async", BODY), ("inpaint-batch", {"items": [BODY] * 3})):
        assert api.post(path, body).status_code == 202
    assert hashed_on_loop == [False] * 4


@pytest.mark.parametrize(("path", "most"), [("inpaint-regions", 2**20), ("inpaint-batch", 2**24)])
def test_the_texts_of_a_form_are_bounded_together(path: str, most: int) -> None:
    """A hundred fields might have that each, and a character may take four bytes."""
    half = most // 2

    def answer(more: int) -> Any:
        sent = {"unknown": "a" * half, "other": "é" * (half // 2), "regions": "a" * more}
        return Api().client.post(f"/api/v1/{path}", data=sent, files={"image": IMAGE})

    assert answer(0).status_code == 422
    assert answer(1).status_code == 400
    assert f"{most} bytes of text together" in answer(1).json()["detail"]
