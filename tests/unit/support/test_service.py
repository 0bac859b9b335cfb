"""What a service of the tests, the drills and the benchmarks takes from the environment of whoever runs them."""

import os

import pytest

from tests.support.service import neutral


def test_nobodys_cluster_is_joined_and_no_setting_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    before = neutral()
    for name in (
        "RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "API_KEYS",
        "api_keys_file", "HD_STRATEGY", "PUBLIC_URL", "MODEL_DIR", "LAMA_MODEL_URL", "IOPAINT_MODEL",
    ):  # fmt: skip
        monkeypatch.setenv(name, "somebody's")
    assert neutral() == before
    assert before["PATH"] == os.environ["PATH"]
