"""`docs/images.md` walked over HTTP: what the page says of each kind of picture is what a client gets."""

import json
import re

import requests

from tests.support.odd_images import Kind, compare, hole_of, kinds, refused, says
from tests.support.pictures import b64, wire
from tests.support.service import ROOT, Service

ROWS = {
    name: (middle.strip("`"), last)
    for name, middle, last in re.findall(
        r"^\| (.+?) \| (.+?) \| (.+?) \|$", (ROOT / "docs/images.md").read_text(), re.M
    )
}


def send(service: Service, kind: Kind) -> requests.Response:
    """With a wrong extension, and a wrong media type."""
    return requests.post(
        f"{service.url}/api/v1/inpaint-regions",
        files={"image": ("photo.gif", kind.data, "text/plain")},
        data={"regions": json.dumps([wire(hole_of(kind))])},
        timeout=60,
    )


def test_every_row_that_comes_back(service: Service) -> None:
    for kind in kinds():
        answer = send(service, kind)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), (kind.name, answer.text)
        assert (says(answer.content), answer.headers.get("X-Notes", "—")) == ROWS[kind.name], kind.name
        compare(kind, answer.content)


def test_every_row_that_is_refused(service: Service) -> None:
    for kind in refused():
        answer = send(service, kind)
        told = answer.json()
        assert (told["error"], told["detail"]) == ROWS[kind.name], kind.name
        assert answer.status_code == {"invalid_image": 400, "unsupported_format": 415}[told["error"]], kind.name


def test_the_page_names_no_kind_that_is_not_sent() -> None:
    assert ROWS.keys() - {kind.name for kind in [*kinds(), *refused()]} <= {"What is sent", "---"}


def test_base64_with_a_wrong_prefix(service: Service) -> None:
    kind = next(kind for kind in kinds() if kind.name == "progressive JPEG")
    body = {"image": f"data:image/webp;base64,{b64(kind.data)}", "regions": [wire(hole_of(kind))]}
    answer = requests.post(f"{service.url}/api/v1/inpaint-regions", json=body, timeout=60)
    assert answer.status_code == 200
    compare(kind, answer.content)
