"""More calls at once than the service takes: the rest is told so, and whoever only asks is answered."""

import asyncio
import json

import aiohttp

from drills.traffic import request_body
from tests.serve.test_metrics import scrape, until
from tests.support.pictures import encoded, photo
from tests.support.service import Service

CALLS = 260
"""More than MAX_CONCURRENT_CALLS."""
BODY = request_body(encoded(photo(320, 240), "JPEG"), [{"x": 40, "y": 60, "width": 120, "height": 30}], "fake")


async def test_beyond_the_bound_calls_are_refused_and_questions_are_answered(service: Service) -> None:
    api, before = f"{service.url}/api/v1", scrape(service)

    async def call() -> tuple[int, bool]:
        async with session.post(f"{api}/inpaint-regions", json=BODY) as answer:
            await answer.read()
            return answer.status, "Retry-After" in answer.headers

    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        calls = [asyncio.create_task(call()) for _ in range(CALLS)]
        async with asyncio.timeout(60):
            while sum(one.done() and one.result()[0] == 503 for one in calls) < 20:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        for path in ("health", "tasks", "info"):
            async with session.get(f"{api}/{path}") as answer:
                assert answer.status == 200, path
        answered = [one.result() for one in calls if one.done()]
        assert len(answered) < CALLS, "the questions were answered after the load"
        assert {status for status, _ in answered} <= {200, 429, 503}
        assert all(told_when for status, told_when in answered if status != 200)
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(60):
            while (await call())[0] != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        async with session.get(f"{api}/health") as answer:
            assert json.loads(await answer.read())["status"] == "healthy"
    # Serve's own figures know nothing of them.
    refused = "ray_iopaint_calls_refused_total"
    list(await asyncio.to_thread(until, service, before, refused, 20, reason="service_unavailable"))
