"""The page is served, knows no other host, and can be turned off. What it does: tests/serve/browser."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ingress.app import create_app
from tests.support.fakes import config, services

FOLDER = Path(__file__).parents[2] / "playground"


def client(**settings: object) -> TestClient:
    return TestClient(create_app(services()[0], config(**settings)))


def test_the_page_and_its_parts_with_their_types() -> None:
    api = client()
    redirect = api.get("/playground", follow_redirects=False)
    assert (redirect.status_code, redirect.headers["location"]) == (307, "playground/")
    page = api.get("/playground/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    parts = re.findall(r'(?:src|href)="([^"#.][^"]*)"', page.text)
    assert {"app.js", "style.css"} <= set(parts)
    for part in [*parts, "client/index.js"]:
        answer = api.get(f"/playground/{part}")
        assert answer.status_code == 200, part
        if part.endswith(".js"):
            assert answer.headers["content-type"].startswith("text/javascript")
    assert api.get("/playground/../ingress/app.py").status_code == 404


@pytest.mark.parametrize("value", ["off", False])
def test_off_is_off(value: object) -> None:
    """Also as YAML reads it."""
    api = client(playground=value)
    assert api.get("/playground").status_code == 404
    assert api.get("/playground/").status_code == 404
    assert "playground" not in api.get("/openapi.json").text


def test_the_documentation_leads_to_it() -> None:
    assert "(playground/)" in client().get("/openapi.json").json()["info"]["description"]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_nothing_names_another_host_or_the_root(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://", text)
    assert not re.search(r"""(?:src|href|from|fetch\()\s*=?\s*["']/""", text)


def test_every_text_is_there_in_three_languages() -> None:
    source = (FOLDER / "texts.js").read_text()
    table = source[source.index("const TEXTS") : source.index("const LANGUAGES")]
    entries = re.findall(r"^  (\w+): \[(.*?)\],$", table, re.MULTILINE | re.DOTALL)
    assert len(entries) > 60
    for name, body in entries:
        said = re.findall(r'"((?:[^"\\]|\\.)*)"', body)
        assert len(said) == 3, name
        assert all(said), name
        places = [set(re.findall(r"\{\w+\}", one)) for one in said]
        assert places[0] == places[1] == places[2], name
    names = {name for name, _ in entries}
    used = set(re.findall(r'data-(?:text|label|alt)="(\w+)"', (FOLDER / "index.html").read_text()))
    for script in FOLDER.glob("*.js"):
        used |= set(re.findall(r'\btext\("(\w+)"', script.read_text()))
        used |= set(re.findall(r'#say\("(\w+)"', script.read_text()))
    assert used <= names, used - names
