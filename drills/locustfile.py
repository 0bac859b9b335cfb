"""For Locust (``scripts/loadtest``): clients that send a picture, wait for the answer, and look at it."""

import os
from pathlib import Path
from typing import Any

from locust import HttpUser, LoadTestShape, constant, task

_STAGES = [tuple(map(float, stage.split(":"))) for stage in os.environ["LOAD_STAGES"].split(",")]
"""``until_s:clients``: straight lines between them."""
_BODY = Path(os.environ["LOAD_BODY"]).read_bytes()


class Client(HttpUser):
    wait_time = constant(0.0)

    @task
    def remove_text(self) -> None:
        headers = {"Content-Type": "application/json"}
        call: Any = self.client.post(
            "/api/v1/inpaint-regions", data=_BODY, headers=headers, timeout=60, catch_response=True
        )
        with call as response:
            if response.status_code == 200 and response.headers.get("X-Model") != "fake":
                response.failure(f"answered by {response.headers.get('X-Model')}")
            elif response.status_code == 200 and not response.content.startswith(b"\x89PNG"):
                response.failure("not a picture")


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
