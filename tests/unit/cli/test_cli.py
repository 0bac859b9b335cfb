"""The commands where no running service is needed; the rest: tests/serve/test_cli.py."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch
from iopaint_client import Polygon, Rect
from typer import BadParameter
from typer.testing import CliRunner, Result

from cli import doctor, parameters, regions
from cli.main import app
from ingress.settings import Settings
from models.weights import WeightsFile, WeightsStore
from tests.support.pictures import encoded, photo
from tests.support.service import free_port

ROOT = Path(__file__).parents[3]


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", **environment})


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    given = {"iopaint_port": free_port(), "task_archive_url": str(tmp_path / "archive"), "model_dir": str(tmp_path)}
    return Settings.model_validate(given)


def test_help_names_every_command() -> None:
    shown = run("--help").output
    for name in ("serve", "remove", "batch", "detect", "tasks", "watch", "result", "cancel", "doctor", "models"):
        assert name in shown
    assert "--install-completion" in shown


@pytest.mark.parametrize(
    ("typed", "offered"), [("rem", {"remove"}), ("models f", {"fetch"}), ("remove --mask-m", {"--mask-mode"})]
)
def test_the_shell_completes_commands_and_options(typed: str, offered: set[str]) -> None:
    words = f"iopaint-serve {typed}"
    asked = {"_IOPAINT_SERVE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    shown = CliRunner().invoke(app, [], prog_name="iopaint-serve", env=asked).output
    assert set(shown.split()) == offered


def test_any_parameter_of_the_service_can_be_typed() -> None:
    typed = [
        "sd_seed=7",
        "sd_strength=0.5",
        "prompt=a = b",
        "output=mask",
        'exclude=[{"points": [[0, 0], [1, 0], [0, 1]]}]',
    ]
    assert parameters.parse(typed) == {
        "sd_seed": 7, "sd_strength": 0.5, "prompt": "a = b", "output": "mask",
        "exclude": [{"points": [[0, 0], [1, 0], [0, 1]]}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("sd_seed", "NAME=VALUE"),
        ("seed=7", "sd_seed"),
        ("sd_seed=many", "integer"),
        ("output=gif", "'mask'"),
        ("include=box", "JSON list"),
        ("include={}", "JSON list"),
    ],
)
def test_a_parameter_that_is_none_is_refused_in_words(typed: str, said: str) -> None:
    with pytest.raises(BadParameter, match=said):
        parameters.parse([typed])


def test_what_says_which_text_counts_is_not_taken_where_regions_are_given(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(encoded(photo()))
    result = run("remove", str(image), "--region", "1,2,3,4", "--set", "min_score=0.9")
    assert result.exit_code == 2
    assert "min_score" in result.output


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("1,2,3,4", Rect(1, 2, 3, 4)),
        ("1.5,2,3,4", Rect(1.5, 2, 3, 4)),
        ("0,0 10,0 5,8", Polygon([(0, 0), (10, 0), (5, 8)])),
    ],
)
def test_regions_as_typed(text: str, region: Rect | Polygon) -> None:
    assert regions.parse(text) == region


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "1,2 3,4", "1,2,3,4 5,6 7,8"])
def test_regions_that_are_none(text: str) -> None:
    with pytest.raises(BadParameter, match="neither"):
        regions.parse(text)


def test_nobody_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.output.Target.client", _impatient)
    url = f"http://127.0.0.1:{free_port()}"
    result = run("--url", url, "tasks")
    assert result.exit_code == 1
    assert result.output.startswith("Error:")
    assert url in result.output
    assert "iopaint-serve serve" in result.output
    assert "Traceback" not in result.output


def _impatient(target: object) -> object:
    from iopaint_client import Client, Retries

    return Client(target.url, retries=Retries(attempts=1))  # type: ignore[attr-defined]


def test_remove_takes_regions_or_a_mask_and_not_both(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(encoded(photo()))
    result = run("remove", str(image), "--region", "1,2,3,4", "--mask", str(image))
    assert result.exit_code == 2
    assert "--mask" in result.output


def test_a_batch_names_pictures_without_regions_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(photo()))
    (tmp_path / "regions.json").write_text(json.dumps({"other.png": [{"x": 1, "y": 1, "width": 5, "height": 5}]}))
    result = run("batch", str(tmp_path), "--regions", str(tmp_path / "regions.json"))
    assert result.exit_code == 2
    assert "a.png" in result.output
    (tmp_path / "regions.json").write_text("[]")
    assert run("batch", str(tmp_path), "--regions", str(tmp_path / "regions.json")).exit_code == 2


def test_serve_hands_its_options_on_and_wrong_ones_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IOPAINT_MODEL", "IOPAINT_PORT"):  # what the command sets goes again with the test
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    result = run("serve", "--model", "lamma")
    assert result.exit_code == 2


def test_the_doctor_finds_nothing_wrong_here(settings: Settings) -> None:
    findings = {finding.name: finding for finding in (check(settings) for check in doctor.CHECKS)}
    levels = {name: finding.level for name, finding in findings.items()}
    # A GPU that is there and not used is weak, as it should be.
    assert levels.pop("GPU") == ("weak" if torch.cuda.is_available() else "good")
    assert levels.pop("weights") == "weak"
    assert levels == dict.fromkeys(("Python", "Ray", "torch", "port", "archive"), "good")
    assert "big-lama.pt" in findings["weights"].found
    assert "models fetch lama" in findings["weights"].advice


def test_the_doctor_speaks_to_programs() -> None:
    result = run("doctor", "--json", IOPAINT_MODEL="lamma")
    (finding,) = json.loads(result.stdout)
    assert (result.exit_code, finding["level"]) == (1, "bad")
    assert "lamma" in finding["found"]


def test_the_doctor_tells_what_is_wrong_and_what_to_do(settings: Settings, tmp_path: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_hang_up, args=(taken,), daemon=True).start()
    (tmp_path / "file").write_text("not a folder")
    changes = {
        "iopaint_device": "cuda",
        "iopaint_fallback_model": "",
        "iopaint_port": taken.getsockname()[1],
        "task_archive_url": str(tmp_path / "file" / "archive"),
    }
    bad = settings.model_copy(update=changes)
    findings = {finding.name: finding for finding in (check(bad) for check in doctor.CHECKS)}
    taken.close()
    for name in ("weights", "port", "archive", *(() if torch.cuda.is_available() else ("GPU",))):
        assert findings[name].level == "bad", findings[name]
        assert findings[name].advice


def _hang_up(server: socket.socket) -> None:
    try:
        while True:
            server.accept()[0].close()
    except OSError:
        pass


def test_the_doctor_as_a_command(settings: Settings, tmp_path: Path) -> None:
    environment = {"TASK_ARCHIVE_URL": str(tmp_path / "archive"), "IOPAINT_PORT": str(settings.iopaint_port)}
    good = run("doctor", IOPAINT_MODEL="cv2", **environment)
    assert good.exit_code == 0, good.output
    assert "cv2 has what it needs" in good.output
    wrong = run("doctor", IOPAINT_PORT="http")
    assert wrong.exit_code == 1
    assert "IOPAINT_PORT='http'" in wrong.output


class _Weights(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"weights")

    def log_message(self, *_: object) -> None:
        pass


def test_models_are_listed_and_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Weights)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    file = WeightsFile(f"http://127.0.0.1:{server.server_port}/small.pt", hashlib.md5(b"weights").hexdigest())
    monkeypatch.setattr("cli.weights.needed_files", lambda name, sources: (file,) if name == "lama" else ())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = str(tmp_path / "weights")
    assert "missing" in run("models", "list", MODEL_DIR=folder).output
    fetched = run("models", "fetch", "lama", "cv2", MODEL_DIR=folder)
    server.shutdown()
    server.server_close()
    assert fetched.exit_code == 0, fetched.output
    assert "cv2 needs no weights" in fetched.output
    assert WeightsStore(tmp_path / "weights").find(file) == tmp_path / "weights" / "small.pt"
    assert "small.pt" in run("models", "list", MODEL_DIR=folder).output
    assert run("models", "fetch", "nope").exit_code == 2


def test_weights_that_cannot_be_had_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = WeightsFile(f"http://127.0.0.1:{free_port()}/small.pt", "")
    monkeypatch.setattr("cli.weights.needed_files", lambda name, sources: (nowhere,))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    result = run("models", "fetch", "lama", MODEL_DIR=str(tmp_path / "weights"))
    assert result.exit_code == 1
    assert "MODEL_DIR" in result.output
    assert "Traceback" not in result.output


def test_commands_for_a_service_do_not_load_one() -> None:
    """They are used in loops of the shell."""
    code = "import sys, cli.main; print([n for n in ('ingress', 'deployments', 'models.registry') if n in sys.modules])"
    path = os.pathsep.join((str(ROOT), str(ROOT / "clients/python/src")))
    said = subprocess.check_output([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, text=True)
    assert said.strip() == "[]"


def test_every_model_with_weights_names_its_files() -> None:
    from models.registry import WITH_WEIGHTS, needed_files

    for name in WITH_WEIGHTS:
        for file in needed_files(name):
            assert file.url.startswith("https://"), name
            assert file.md5, name
        assert needed_files(name)
    assert needed_files("cv2") == ()
