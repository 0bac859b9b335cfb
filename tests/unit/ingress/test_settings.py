"""Variables of the environment arrive where they are used, and wrong ones stop the start."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from deployments.config import InpainterConfig
from ingress.builder import inpainter_config
from ingress.settings import Settings


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
