"""Every line that the service's processes print becomes one object."""

import json

import pytest

from ingress.json_lines import as_object


def test_our_own_lines_lose_rays_prefix() -> None:
    ours = '{"time": "2026-01-01", "level": "INFO", "message": "task ended", "task_id": "t"}'
    assert as_object(f"\x1b[36m(TrackerActor pid=12)\x1b[0m {ours}\n") == ours
    assert as_object(f"(ServeReplica:iopaint:Ingress pid=12, ip=10.0.0.7) {ours}") == ours


@pytest.mark.parametrize(
    ("line", "level", "component", "message"),
    [
        ("2026-11-24 11:10:52,318\tINFO worker.py:1841 -- Connecting\n", "INFO", "ray",
         "2026-11-24 11:10:52,318\tINFO worker.py:1841 -- Connecting"),
        ("(ProxyActor pid=7) ERROR proxy -- no route", "ERROR", "ProxyActor", "ERROR proxy -- no route"),
        ("  File \"x.py\", line 3", "INFO", "ray", 'File "x.py", line 3'),
        ("{not json", "INFO", "ray", "{not json"),
        ("日本語", "INFO", "ray", "日本語"),
    ],
)  # fmt: skip
def test_others_are_wrapped(line: str, level: str, component: str, message: str) -> None:
    told = json.loads(as_object(line))
    assert (told["level"], told["component"], told["message"]) == (level, component, message)


@pytest.mark.parametrize("line", ["", "\n", "\x1b[0m  \n"])
def test_nothing_stays_nothing(line: str) -> None:
    assert as_object(line) == ""
