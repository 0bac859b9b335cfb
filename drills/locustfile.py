"""For Locust (``scripts/loadtest``): clients that send a picture and wait, or follow a task to its end."""

import json
import os
import uuid
from pathlib import Path
from typing import Any

import gevent
from locust import HttpUser, LoadTestShape, constant, task

_STAGES = [tuple(map(float, stage.split(":"))) for stage in os.environ["LOAD_STAGES"].split(",")]
"""``until_s:clients``: straight lines between them."""
_BODY = Path(os.environ["LOAD_BODY"]).read_bytes()
_MODEL = json.loads(_BODY)["model"]


class Client(HttpUser):
    weight = 4
    wait_time = constant(0.0)

    @task
    def remove_text(self) -> None:
        headers = {"Content-Type": "application/json"}
        call: Any = self.client.post(
            "/api/v1/inpaint-regions", data=_BODY, headers=headers, timeout=60, catch_response=True
        )
        with call as response:
            if response.status_code == 200 and response.headers.get("X-Model") != _MODEL:
                response.failure(f"answered by {response.headers.get('X-Model')}")
            elif response.status_code == 200 and not response.content.startswith(b"\x89PNG"):
                response.failure("not a picture")


class TaskClient(HttpUser):
    """One task after another. A task that is forgotten, or ends otherwise than well, is a failed call."""

    weight = 1
    wait_time = constant(0.0)

    @task
    def follow(self) -> None:
        task_id = uuid.uuid4().hex
        body = json.loads(_BODY) | {"task_id": task_id}
        if self.client.post("/api/v1/inpaint-regions-async", json=body, timeout=60).status_code != 202:
            return
        status = ""
        while status != "completed":
            gevent.sleep(0.5)
            call: Any = self.client.get(
                f"/api/v1/task-status/{task_id}", name="/api/v1/task-status", timeout=60, catch_response=True
            )
            with call as response:
                if response.status_code != 200:
                    return
                status = response.json()["status"]
                if status in ("error", "cancelled"):
                    response.failure(f"the task ended as {status}")
                    return


class Stages(LoadTestShape):
    """Ends after the last stage; the clients' last calls are waited for."""

    def tick(self) -> tuple[int, float] | None:
        now = self.get_run_time()
        before_s, before = 0.0, _STAGES[0][1]
        for until_s, clients in _STAGES:
            if now < until_s:
                share = (now - before_s) / (until_s - before_s)
                return max(1, round(before + share * (clients - before))), 100.0
            before_s, before = until_s, clients
        return None
