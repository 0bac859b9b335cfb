"""``batch`` where no service is needed: each picture has a result of its own, and a service that goes ends the run."""

import asyncio
import json
from pathlib import Path
from typing import Any, Self

import pytest
from iopaint_client import ConnectionFailed, Picture, TextRemovalClientError, Unauthorized
from typer.testing import CliRunner, Result

from cli import work
from cli.main import app


class Service:
    """Answers with the bytes it was sent, and fails after ``most`` pictures with ``error``."""

    def __init__(self, most: int = 1000, error: TextRemovalClientError | None = None, *, gone: bool = True) -> None:
        self.sent: list[str] = []
        self.most, self.error, self.gone = most, error, gone

    def __call__(self, *_: object, **__: object) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def health(self) -> None:
        if self.error is not None and self.gone and len(self.sent) > self.most:
            raise self.error

    async def submit(self, path: Path, *_: object, **__: object) -> Any:
        await asyncio.sleep(0)
        self.sent.append(path.name)
        if self.error is not None and len(self.sent) > self.most:
            raise self.error
        return _Task(path.read_bytes())


class _Task:
    def __init__(self, data: bytes) -> None:
        self.data = data

    async def result(self) -> Picture:
        return Picture.from_answer(self.data, {"content-type": "image/png"})


def run(service: Service, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr(work, "AsyncClient", service)
    monkeypatch.setattr("cli.output.Client.health", lambda _: None)
    return CliRunner().invoke(app, ["batch", *arguments], env={"COLUMNS": "200"})


def named(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_pictures_that_differ_in_their_suffix_keep_a_result_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = named(tmp_path / "in", "a.png", "a.jpg", "A.webp", "b.png", "c.jpg", "c.jpg.bmp", "c.png")
    into = tmp_path / "in-clean"
    wanted = {
        "a.png": "a.png.png", "a.jpg": "a.jpg.png", "A.webp": "A.webp.png", "b.png": "b.png",
        "c.jpg": "c.jpg.png", "c.jpg.bmp": "c.jpg.bmp.png", "c.png": "c.png.png",
    }  # fmt: skip
    told = json.loads(run(Service(), monkeypatch, str(folder), "--json").stdout)
    assert told == {"cleaned": {name: str(into / result) for name, result in wanted.items()}, "failed": {}}
    assert {path.name: path.read_text() for path in into.iterdir()} == {made: name for name, made in wanted.items()}
    (into / "a.jpg.png").unlink()
    again = Service()
    told = json.loads(run(again, monkeypatch, str(folder), "--json").stdout)
    assert (again.sent, told["cleaned"]) == (["a.jpg"], {"a.jpg": str(into / "a.jpg.png")})


@pytest.mark.parametrize("error", [ConnectionFailed("It cannot be reached."), Unauthorized("No key.", "unauthorized")])
def test_a_service_that_goes_ends_the_run_and_what_is_done_stays(
    error: TextRemovalClientError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = named(tmp_path / "in", *(f"{number:02}.png" for number in range(40)))
    service = Service(10, error)
    result = run(service, monkeypatch, str(folder))
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count(str(error)) == 1
    assert "IOPAINT_" in result.stderr, "the advice"
    assert len(service.sent) < 30
    done = list((tmp_path / "in-clean").iterdir())
    assert 0 < len(done) <= 10
    assert all(path.suffix == ".png" for path in done)
    service.error = None
    assert f"{40 - len(done)} cleaned, 0 failed" in run(service, monkeypatch, str(folder)).stdout


def test_a_picture_that_alone_breaks_its_connection_is_one_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = named(tmp_path / "in", "a.png", "b.png", "c.png")
    service = Service(2, ConnectionFailed("The connection was cut."), gone=False)
    result = run(service, monkeypatch, str(folder))
    assert "2 cleaned, 1 failed" in result.stdout
    assert "c.png: The connection was cut." in result.stderr
