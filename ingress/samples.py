"""Every operation as a program: with curl, and with the clients in ``clients/``. A test runs them all as printed.

``photo.jpg`` and ``mask.png`` lie in the folder; ``photo-1`` is a task, ``photos-1`` a batch.
"""

from dataclasses import dataclass
from textwrap import indent
from typing import Any

_URL = "http://localhost:8081"
_BOX = '[{"x": 100, "y": 50, "width": 200, "height": 30}]'


@dataclass(frozen=True, slots=True)
class Sample:
    """``python`` and ``javascript``: what follows the making of ``client``."""

    curl: str
    python: str
    javascript: str
    python_imports: str = "Client"

    def wire(self) -> list[dict[str, str]]:
        """As ``x-codeSamples``, which ReDoc and others show."""
        python = f'from iopaint_client import {self.python_imports}\n\nwith Client("{_URL}") as client:\n'
        javascript = f'import {{ Client }} from "iopaint-client";\n\nconst client = new Client("{_URL}");\n'
        return [
            {"lang": "Shell", "label": "curl", "source": self.curl},
            {"lang": "Python", "label": "Python", "source": python + indent(self.python, "    ")},
            {"lang": "JavaScript", "label": "JavaScript", "source": javascript + self.javascript},
        ]


def _get(path: str, python: str, javascript: str) -> Sample:
    return Sample(f"curl -f {_URL}{path}", f"print(client.{python})", f"console.log(await client.{javascript});")


SAMPLES: dict[tuple[str, str], Sample] = {
    ("get", "/"): _get("/", "info().version", "info()"),
    ("get", "/api/v1/health"): _get("/api/v1/health", "health()", "health()"),
    ("get", "/api/v1/model"): _get("/api/v1/model", "info().model", "info()"),
    ("get", "/api/v1/info"): _get("/api/v1/info", "info()", "info()"),
    ("get", "/api/v1/tasks"): _get("/api/v1/tasks", "queue()", "queue()"),
    ("post", "/api/v1/inpaint"): Sample(
        f"curl -f {_URL}/api/v1/inpaint -F image=@photo.jpg -F mask=@mask.png -o clean.png",
        'client.inpaint("photo.jpg", "mask.png").save("clean.png")',
        'await (await client.inpaint("photo.jpg", "mask.png")).save("clean.png");',
    ),
    ("post", "/api/v1/inpaint-regions"): Sample(
        f"curl -f {_URL}/api/v1/inpaint-regions -F image=@photo.jpg -F 'regions={_BOX}' -o clean.png",
        'client.remove_text("photo.jpg", [(100, 50, 200, 30)]).save("clean.png")',
        'await (await client.removeText("photo.jpg", [[100, 50, 200, 30]])).save("clean.png");',
    ),
    ("post", "/api/v1/inpaint-regions-json"): Sample(
        f"curl -f {_URL}/api/v1/inpaint-regions-json -F image=@photo.jpg -F 'regions={_BOX}'",
        'print(client.measure("photo.jpg", [(100, 50, 200, 30)]))',
        'console.log(await client.measure("photo.jpg", [[100, 50, 200, 30]]));',
    ),
    ("post", "/api/v1/inpaint-regions-async"): Sample(
        f"curl -f {_URL}/api/v1/inpaint-regions-async -F image=@photo.jpg -F 'regions={_BOX}' -F task_id=photo-1",
        'task = client.submit("photo.jpg", [(100, 50, 200, 30)])\nfor update in task:\n    print(update.progress)\n'
        'task.result().save("clean.png")',
        'const task = await client.submit("photo.jpg", [[100, 50, 200, 30]]);\n'
        "for await (const update of task) console.log(update.progress);\n"
        'await (await task.result()).save("clean.png");',
    ),
    ("post", "/api/v1/detect-text"): Sample(
        f"curl -f {_URL}/api/v1/detect-text -F image=@photo.jpg",
        'for line in client.detect_text("photo.jpg"):\n    print(line.score, line.points)',
        'for (const line of await client.detectText("photo.jpg")) console.log(line.score, line.points);',
    ),
    ("post", "/api/v1/remove-text"): Sample(
        f"curl -f {_URL}/api/v1/remove-text -F image=@photo.jpg -o clean.png",
        'client.remove_text("photo.jpg").save("clean.png")',
        'await (await client.removeText("photo.jpg")).save("clean.png");',
    ),
    ("post", "/api/v1/remove-text-async"): Sample(
        f"curl -f {_URL}/api/v1/remove-text-async -F image=@photo.jpg -F task_id=photo-2",
        'client.submit("photo.jpg").result().save("clean.png")',
        'await (await (await client.submit("photo.jpg")).result()).save("clean.png");',
    ),
    ("get", "/api/v1/tasks/{task_id}/stats"): _get(
        "/api/v1/tasks/photo-1/stats", 'task("photo-1").stats()', 'task("photo-1").stats()'
    ),
    ("get", "/api/v1/task-status/{task_id}"): _get(
        "/api/v1/task-status/photo-1", 'task("photo-1").status()', 'task("photo-1").status()'
    ),
    ("post", "/api/v1/cancel-task/{task_id}"): Sample(
        f"curl -f -X POST {_URL}/api/v1/cancel-task/photo-1",
        'client.task("photo-1").cancel()',
        'await client.task("photo-1").cancel();',
    ),
    ("delete", "/api/v1/tasks/{task_id}"): Sample(
        f"curl -f -X DELETE {_URL}/api/v1/tasks/photo-1",
        'client.task("photo-1").forget()',
        'await client.task("photo-1").forget();',
    ),
    ("get", "/api/v1/tasks/{task_id}/deliveries"): _get(
        "/api/v1/tasks/photo-1/deliveries", 'task("photo-1").deliveries()', 'task("photo-1").deliveries()'
    ),
    ("post", "/api/v1/tasks/{task_id}/deliveries"): Sample(
        f"curl -f -X POST {_URL}/api/v1/tasks/photo-1/deliveries",
        'print(client.task("photo-1").redeliver())',
        'console.log(await client.task("photo-1").redeliver());',
    ),
    ("get", "/api/v1/task-result/{task_id}"): Sample(
        f"curl -f {_URL}/api/v1/task-result/photo-1 -o clean.png",
        'client.task("photo-1").result().save("clean.png")',
        'await (await client.task("photo-1").result()).save("clean.png");',
    ),
    ("post", "/api/v1/inpaint-batch"): Sample(
        f"curl -f {_URL}/api/v1/inpaint-batch -F image_0=@photo.jpg -F image_1=@photo.jpg -F mask_1=@mask.png \\\n"
        f"  -F 'items=[{{\"regions\": {_BOX}}}, {{}}]'",
        'item = BatchItem("photo.jpg", regions=[(100, 50, 200, 30)])\nbatch = client.submit_batch([item])\n'
        "for task, picture in batch.results():\n    print(task.status, picture)",
        'const item = { image: "photo.jpg", regions: [[100, 50, 200, 30]] };\n'
        "const batch = await client.submitBatch([item]);\n"
        "for await (const { task, picture } of batch.results()) console.log(task.status, picture.mediaType);",
        python_imports="BatchItem, Client",
    ),
    ("get", "/api/v1/batch-status/{batch_id}"): _get(
        "/api/v1/batch-status/photos-1", 'batch("photos-1").status()', 'batch("photos-1").status()'
    ),
    ("post", "/api/v1/cancel-batch/{batch_id}"): Sample(
        f"curl -f -X POST {_URL}/api/v1/cancel-batch/photos-1",
        'print(client.batch("photos-1").cancel().counts)',
        'console.log((await client.batch("photos-1").cancel()).counts);',
    ),
    ("get", "/api/v1/batch-result/{batch_id}"): Sample(
        f"curl -f {_URL}/api/v1/batch-result/photos-1 -o photos.zip",
        'client.batch("photos-1").download("photos.zip")',
        'import { writeFile } from "node:fs/promises";\n'
        'const zip = await client.batch("photos-1").download();\n'
        'await writeFile("photos.zip", Buffer.from(await zip.arrayBuffer()));',
    ),
}
IDS = {"task_id": "photo-1", "batch_id": "photos-1"}


def add_to(operation: dict[str, Any], method: str, path: str) -> None:
    """The samples, and examples of the path's parameters. An operation without a sample stays as it is."""
    sample = SAMPLES.get((method, path))
    if sample is not None:
        operation["x-codeSamples"] = sample.wire()
    for parameter in operation.get("parameters", []):
        if parameter["name"] in IDS:
            parameter["example"] = IDS[parameter["name"]]
