"""Variables of the environment arrive where they are used, and wrong ones stop the start."""

import socket
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from deployments.config import InpainterConfig
from ingress import launch
from ingress.builder import build, inpainter_config
from ingress.settings import Settings, from_environment
from models.registry import needed_files


@pytest.mark.parametrize(
    ("variable", "value", "arrived"),
    [
        ("IOPAINT_MODEL", "cv2", lambda config: config.model == "cv2"),
        ("IOPAINT_FALLBACK_MODEL", "cv2", lambda config: config.fallback_model == "cv2"),
        ("IOPAINT_DEVICE", "cuda", lambda config: config.engines.device == "cuda"),
        ("IOPAINT_LOW_MEM", "false", lambda config: not config.engines.low_mem),
        ("IOPAINT_CPU_OFFLOAD", "false", lambda config: not config.engines.cpu_offload),
        ("IOPAINT_THREADS", "3", lambda config: config.engines.threads == 3),
        ("IOPAINT_PRECISION", "float32", lambda config: config.engines.precision == "float32"),
        ("IOPAINT_MAX_BATCH", "5", lambda config: config.max_batch == 5),
        ("IOPAINT_FAKE_UNIT_S", "0.25", lambda config: config.engines.fake_unit_s == 0.25),
        ("MAX_IMAGE_SIZE", "1024", lambda config: config.max_window_px == 1024),
        ("MAX_PIXELS", "1234567", lambda config: config.max_pixels == 1_234_567),
        ("MODEL_DIR", "/models", lambda config: config.engines.model_dir == "/models"),
        ("MODEL_MEMORY_BYTES", "7", lambda config: config.model_budget_bytes() == 7),
        ("JOB_MEMORY_BYTES", "9", lambda config: config.job_budget_bytes() == 9),
        ("LAMA_MODEL_URL", "http://x/y", lambda config: config.engines.sources["LAMA_MODEL_URL"] == "http://x/y"),
    ],
)
def test_what_is_set_arrives_at_the_engines(
    variable: str, value: str, arrived: Callable[[InpainterConfig], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert arrived(inpainter_config(Settings.model_validate({})))


@pytest.mark.parametrize("value", ["float16", "", "FLOAT32 "])
def test_a_precision_that_is_none_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOPAINT_PRECISION", value)
    with pytest.raises(ValidationError, match="iopaint_precision"):
        Settings.model_validate({})


@pytest.mark.parametrize("value", ["mysecret1", "correct horse", "whsec_%%%"])
def test_a_secret_that_is_no_key_is_named_and_not_shown(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CALLBACK_SECRET", value)
    assert launch.main() == 2
    said = capsys.readouterr().err
    assert "CALLBACK_SECRET=(hidden)" in said
    assert "openssl rand -base64 24" in said
    assert value not in said


def test_what_cannot_be_listened_on_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IOPAINT_HOST", "no-such-host.invalid")
    assert launch.main() == 2
    assert "Nothing can listen on no-such-host.invalid" in capsys.readouterr().err
    for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        with socket.socket(family) as taken:
            taken.bind((host, 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert launch._refusal(host, port) == f"Port {port} is in use. Set IOPAINT_PORT to a free one."
        assert launch._refusal(host, port) is None


def test_arguments_that_the_proxies_do_not_see_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "ray.serve"):
        build(Settings.model_validate({"max_concurrent_calls": 20}))
    assert [record.variable for record in caplog.records] == ["MAX_CONCURRENT_CALLS"]  # type: ignore[attr-defined]


def test_an_empty_source_is_the_usual_one_and_an_empty_checksum_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMA_MODEL_URL", "")
    monkeypatch.setenv("MAT_MODEL_URL", "http://mirror/mat.pth")
    monkeypatch.setenv("MAT_MODEL_MD5", "")
    sources = from_environment().weights_sources
    assert sources == {"MAT_MODEL_URL": "http://mirror/mat.pth", "MAT_MODEL_MD5": ""}
    (mat,), (lama,) = (needed_files(name, sources) for name in ("mat", "lama"))
    assert (mat.url, mat.md5) == ("http://mirror/mat.pth", "")
    assert lama.url.startswith("https://")
    assert lama.md5
