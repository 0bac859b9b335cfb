"""What people mistype is one sentence, and names come out as they are."""

import json
from pathlib import Path

import pytest
from iopaint_client import Client, Picture, Queue, ServiceError, Task, TaskState
from typer.testing import CliRunner, Result

from cli import doctor
from cli.main import app
from tests.support.service import free_port


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", **environment})


def _assert_told(result: Result, *said: str) -> None:
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for part in said:
        assert part in result.stderr


@pytest.mark.parametrize("url", ["http://host:port", "localhost:8081", "http://host:99999"])
def test_an_address_that_is_none(url: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for typed in (("tasks",), ("batch", str(tmp_path))):
        _assert_told(run("--url", url, *typed), "Error: base_url", url)


def test_a_key_that_is_none(tmp_path: Path) -> None:
    result = run("--api-key", "schlüssel", "tasks")
    _assert_told(result, "Error: api_key")
    assert "schlüssel" not in result.stderr


@pytest.mark.parametrize("command", ["list", "fetch lama"])
def test_a_wrong_setting(command: str) -> None:
    _assert_told(run("models", *command.split(), IOPAINT_PORT="abc"), "Error: IOPAINT_PORT='abc' is not allowed")
    _assert_told(run("models", *command.split(), WEIGHTS_SOURCES="{"), "Error:", "weights_sources")


@pytest.mark.parametrize("told", ['{"a.png": [5]}', '{"a.png": [[1, 2, 3]]}', '{"a.png": 5}', "5", "\ufeff{"])
def test_regions_of_a_file_that_are_none(told: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "regions.json").write_text(told)
    _assert_told(run("batch", str(tmp_path), "--regions", str(tmp_path / "regions.json")), "regions.json")


def test_areas_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    _assert_told(run("detect", str(tmp_path / "a.png"), "--set", "include=[5]"), "include")


def test_a_secret_that_is_wrong_is_named_and_not_shown_by_the_doctor() -> None:
    for arguments in (("doctor",), ("doctor", "--json")):
        result = run(*arguments, CALLBACK_SECRET="correct horse")
        assert result.exit_code == 1
        assert "CALLBACK_SECRET=(hidden)" in result.output
        assert "correct horse" not in result.output


def test_this_folder_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "photos"
    here.mkdir()
    monkeypatch.chdir(here)
    for typed in (".", "../photos", str(here)):
        result = run("batch", typed, "--json")
        assert (result.exit_code, json.loads(result.stdout)) == (0, {"cleaned": {}, "failed": {}}), result.output
    assert (tmp_path / "photos-clean").is_dir()


def test_a_batch_without_a_service_ends_at_once(tmp_path: Path) -> None:
    for number in range(24):
        (tmp_path / f"{number}.png").touch()
    url = f"http://127.0.0.1:{free_port()}"
    result = run("--url", url, "batch", str(tmp_path), "-o", str(tmp_path / "out"))
    _assert_told(result, f"Error: {url} cannot be reached", "iopaint-serve serve")
    assert result.stderr.count(url) == 1


@pytest.mark.parametrize("name", ["photo[final].png", "a[/b].png", ":smile:.png"])
def test_brackets_in_names_are_no_markup(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").touch()
    monkeypatch.setattr(Client, "detect_text", lambda *_: _raise(ServiceError(f"{name} is none")))
    assert f"Error: {name} is none" in run("detect", str(tmp_path / "a.png")).stderr
    picture = Picture.from_answer(b"", {"x-model": "cv2", "x-notes": name})
    monkeypatch.setattr(Client, "remove_text", lambda *_: picture)
    result = run("remove", str(tmp_path / "a.png"), "-o", str(tmp_path / name.replace("/", "")))
    assert f"{name.replace('/', '')}: cv2" in result.stdout
    assert name in result.stderr
    state = TaskState.from_wire(PROCESSING | {"task_id": name})
    monkeypatch.setattr(Client, "queue", lambda _: Queue.from_wire(QUEUE | {"active_task_ids": ["t-1"]}))
    monkeypatch.setattr(Task, "status", lambda _: state)
    assert name in run("tasks").stdout
    monkeypatch.setattr(doctor, "CHECKS", (lambda _: doctor.Finding("archive", "weak", name, f"Free {name}."),))
    shown = run("doctor").output
    assert shown.count(name) == 2
    assert "weak" in shown
    assert "[yellow]" not in shown


def _raise(error: Exception) -> None:
    raise error


GOLDEN = Path(__file__).parents[2] / "golden"
PROCESSING, QUEUE = (json.loads((GOLDEN / f"{name}.json").read_text()) for name in ("task-processing", "tasks"))
