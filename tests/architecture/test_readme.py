"""The three READMEs are in step with each other and with the settings."""

import re
from pathlib import Path

import pytest

from ingress.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = ["README.md", "README.zh-CN.md", "README.ja.md"]


def blocks(name: str) -> list[str]:
    return re.findall(r"```.*?```", (ROOT / name).read_text(), re.DOTALL)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_with_its_default(name: str) -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", (ROOT / name).read_text(), re.MULTILINE))
    assert set(rows) == {field.upper() for field in Settings.model_fields}
    for field, info in Settings.model_fields.items():
        value = ",".join(info.default) if isinstance(info.default, tuple) else info.default
        text = str(value).lower() if isinstance(value, bool) else str(value)
        assert rows[field.upper()].strip("`") == (text if value not in (None, "") else "—"), field


def test_the_english_table_says_what_the_settings_say() -> None:
    text = (ROOT / "README.md").read_text()
    for info in Settings.model_fields.values():
        assert f"| {info.description} |" in text


@pytest.mark.parametrize("name", NAMES[1:])
def test_translations_have_the_same_code_and_sections(name: str) -> None:
    assert blocks(name) == blocks("README.md")
    count = len(re.findall(r"^## ", (ROOT / name).read_text(), re.MULTILINE))
    assert count == len(re.findall(r"^## ", (ROOT / "README.md").read_text(), re.MULTILINE))
