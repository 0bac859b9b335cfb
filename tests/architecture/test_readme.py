"""The three READMEs are in step with each other and with the settings."""

import re
from pathlib import Path

import pytest

from ingress.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = ["README.md", "README.zh-CN.md", "README.ja.md"]


def blocks(name: str) -> list[str]:
    return re.findall(r"```.*?```", (ROOT / name).read_text(), re.DOTALL)


ORIGINAL = {
    "IOPAINT_HOST", "IOPAINT_PORT", "IOPAINT_MODEL", "IOPAINT_DEVICE", "IOPAINT_LOW_MEM", "IOPAINT_CPU_OFFLOAD",
    "MAX_IMAGE_SIZE", "MAX_FILE_SIZE", "REQUEST_TIMEOUT", "LOG_LEVEL", "CORS_ORIGINS",
}  # fmt: skip


def rows(name: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_that_it_names_with_their_defaults(name: str) -> None:
    """The original's, and what most people ask for; docs/configuration.md has all (``scripts/docs``)."""
    assert rows(name).keys() == rows("README.md").keys() >= ORIGINAL
    for variable, shown in rows(name).items():
        info = Settings.model_fields[variable.lower()]
        value = ",".join(info.default) if isinstance(info.default, tuple) else info.default
        text = str(value).lower() if isinstance(value, bool) else str(value)
        assert shown.strip("`") == (text if value not in (None, "") else "—"), variable


def test_the_english_table_says_what_the_settings_say() -> None:
    text = (ROOT / "README.md").read_text()
    for variable in rows("README.md"):
        assert f"| {Settings.model_fields[variable.lower()].description} |" in text


@pytest.mark.parametrize("name", NAMES[1:])
def test_translations_have_the_same_code_and_sections(name: str) -> None:
    assert blocks(name) == blocks("README.md")
    count = len(re.findall(r"^## ", (ROOT / name).read_text(), re.MULTILINE))
    assert count == len(re.findall(r"^## ", (ROOT / "README.md").read_text(), re.MULTILINE))
