"""The programs in the OpenAPI document run as printed; only the address and the ids differ."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import iopaint_client as sdk
import numpy as np
import pytest

from ingress.samples import IDS, SAMPLES
from tests.support.pictures import encoded, photo
from tests.support.service import ROOT, Service, free_port

_LONG = encoded(photo(2000, 2000), "JPEG", quality=20)
_FAR_APART = [sdk.Rect(20 + 400 * (i % 5), 20 + 250 * (i // 5), 10, 10) for i in range(40)]
_COMMANDS = {"Shell": ["bash"], "Python": [sys.executable], "JavaScript": ["node"]}
CASES = [
    pytest.param(method, path, sample["lang"], sample["source"], id=f"{sample['lang']} {method} {path}")
    for (method, path), value in SAMPLES.items()
    for sample in value.wire()
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photo.jpg").write_bytes(encoded(photo(400, 200), "JPEG"))
    mask = np.zeros((200, 400), np.uint8)
    mask[50:80, 100:300] = 255
    (tmp_path / "mask.png").write_bytes(encoded(mask))
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "iopaint-client").symlink_to(ROOT / "clients" / "js")
    return tmp_path


def prepared(service: Service, path: str, task_id: str, batch_id: str) -> None:
    """What the operation needs to be there: a task at work, an ended one, a callback that was tried, a batch."""
    with sdk.Client(service.url) as client:
        if path.startswith("/api/v1/cancel-task"):
            client.submit(_LONG, _FAR_APART, model="fake", task_id=task_id)
        elif "{task_id}" in path:
            url = f"http://127.0.0.1:{free_port()}/nobody" if "deliveries" in path else None
            task = client.submit(photo(), [(5, 5, 20, 20)], task_id=task_id, callback_url=url)
            task.result()
            while url and not task.deliveries():
                pass
        elif "{batch_id}" in path:
            client.submit_batch([sdk.BatchItem(photo(), regions=[(5, 5, 20, 20)])], batch_id=batch_id).wait()


@pytest.mark.parametrize(("method", "path", "language", "source"), CASES)
def test_sample(service: Service, folder: Path, method: str, path: str, language: str, source: str) -> None:
    names = {name: f"sample-{uuid.uuid4().hex}" for name in IDS}
    prepared(service, path, names["task_id"], names["batch_id"])
    code = source.replace("http://localhost:8081", service.url)
    for name, printed in IDS.items():
        code = code.replace(printed, names[name])
    script = folder / "sample.mjs"
    script.write_text(code)
    before = set(folder.iterdir())
    done = subprocess.run(
        [*_COMMANDS[language], str(script)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "clients/python/src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, code + done.stdout + done.stderr
    made = set(folder.iterdir()) - before
    assert bool(done.stdout.strip()) or made or method != "get", "it shows or saves something"
    assert all(file.stat().st_size > 200 for file in made)
