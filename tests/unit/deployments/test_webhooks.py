"""Callbacks over real HTTP: payload, signature, and a receiver that is down for a while."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from deployments.archive_store import open_store
from deployments.callback_policy import CallbackPolicy
from deployments.callbacks import Callbacks
from deployments.errors import NothingToDeliver
from deployments.owners import OwnerBook
from deployments.protocol import TaskEnd
from deployments.task_archive import TaskArchive, TaskRecord
from deployments.task_life import Background
from deployments.tasks import TaskStatus
from deployments.webhooks import Body, WebhookSender, task_body
from tests.support.tracker import STATS, Bench, submission

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four.").decode()


class Receiver(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.down = 0
        self.got: list[tuple[dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.server.down -= 1
        self.send_response(503 if self.server.down >= 0 else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Desk:
    """An archive with one ended task, and its callbacks."""

    def __init__(self, folder: Path, url: str, secret: str = "") -> None:
        self.archive = TaskArchive(open_store(str(folder)))
        self.background = Background()
        self.client = httpx.AsyncClient(trust_env=False)
        self.sender = WebhookSender(CallbackPolicy(("127.0.0.1",)), secret, self.client)
        self.callbacks = Callbacks(
            self.archive, OwnerBook(self.archive, "me", 30.0), "me", self.sender, self.background,
            max_tries=4, first_wait_s=0.05,
        )  # fmt: skip
        self.record = TaskRecord(submission("t", callback=url), 0.0, "me")

    async def end(self, status: TaskStatus, data: bytes = b"picture", message: str | None = None) -> TaskEnd:
        await self.archive.create_record(self.record)
        await self.archive.put_result("t", 1, data)
        end = TaskEnd("t", status, 1, time.time(), error_message=message, stats=STATS, owner="me")
        await self.archive.create_end(end)
        await self.archive.add_todo("callbacks", "t")
        return end

    async def settled(self) -> None:
        async with asyncio.timeout(10):
            while self.background.tasks:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


def url_of(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.server_port}/done"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 3_000_001])
async def test_a_completed_task_arrives_whole_and_signed(tmp_path: Path, receiver: Receiver, size: int) -> None:
    desk = Desk(tmp_path, url_of(receiver), SECRET)
    data = bytes(index % 251 for index in range(size))
    desk.callbacks.task_ended(desk.record, await desk.end(TaskStatus.COMPLETED, data))
    await desk.settled()
    headers, body = receiver.got[0]
    payload = json.loads(body)
    assert base64.b64decode(payload["image_data"]) == data
    assert {k: payload[k] for k in ("task_id", "status")} == {"task_id": "t", "status": "completed"}
    Webhook(SECRET).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


@pytest.mark.parametrize(("status", "message"), [(TaskStatus.ERROR, "It broke."), (TaskStatus.CANCELLED, None)])
async def test_other_ends_arrive_unsigned_without_a_secret(
    tmp_path: Path, receiver: Receiver, status: TaskStatus, message: str | None
) -> None:
    desk = Desk(tmp_path, url_of(receiver))
    desk.callbacks.task_ended(desk.record, await desk.end(status, message=message))
    await desk.settled()
    headers, body = receiver.got[0]
    payload = json.loads(body)
    assert (payload["status"], payload["error_message"]) == (status.value, message or "The task was cancelled.")
    assert "webhook-signature" not in headers


async def test_a_receiver_that_was_down_gets_it_with_the_same_id(tmp_path: Path, receiver: Receiver) -> None:
    receiver.down = 2
    desk = Desk(tmp_path, url_of(receiver))
    desk.callbacks.task_ended(desk.record, await desk.end(TaskStatus.COMPLETED))
    await desk.settled()
    assert [headers["webhook-id"] for headers, _ in receiver.got] == ["msg_t"] * 3
    log = await desk.callbacks.log(desk.record)
    assert [(one.number, one.taken, one.answer) for one in log] == [
        (1, False, "HTTP 503"), (2, False, "HTTP 503"), (3, True, "HTTP 204")
    ]  # fmt: skip
    assert log[1].next_at is not None
    assert log[2].next_at is None
    assert await desk.archive.todo("callbacks") == {}


async def test_given_up_after_the_last_try_and_sent_again_on_request(tmp_path: Path, receiver: Receiver) -> None:
    receiver.down = 4
    desk = Desk(tmp_path, url_of(receiver))
    desk.callbacks.task_ended(desk.record, await desk.end(TaskStatus.COMPLETED))
    await desk.settled()
    assert len(receiver.got) == 4
    assert await desk.archive.todo("callbacks") == {}
    await desk.callbacks.again(desk.record)
    await desk.settled()
    assert [one.taken for one in await desk.callbacks.log(desk.record)] == [False] * 4 + [True]


async def test_nothing_listens(tmp_path: Path, receiver: Receiver) -> None:
    desk = Desk(tmp_path, "http://127.0.0.1:9/")
    desk.callbacks.task_ended(desk.record, await desk.end(TaskStatus.COMPLETED))
    await desk.settled()
    assert {one.answer for one in await desk.callbacks.log(desk.record)} == {"ConnectError"}


async def test_nothing_to_deliver(tmp_path: Path, receiver: Receiver) -> None:
    desk = Desk(tmp_path, url_of(receiver))
    with pytest.raises(NothingToDeliver, match="not ended"):
        await desk.callbacks.again(desk.record)
    with pytest.raises(NothingToDeliver, match="without a callback_url"):
        await desk.callbacks.again(TaskRecord(submission("t"), 0.0, "me"))


async def test_an_expired_result_is_said(tmp_path: Path, receiver: Receiver) -> None:
    desk = Desk(tmp_path, url_of(receiver))
    end = await desk.end(TaskStatus.COMPLETED)
    await desk.archive.delete_paths(["tasks/t/result-1"])
    body = await task_body(desk.archive, end)
    payload = json.loads(b"".join([piece async for piece in body.pieces()]))
    assert payload["image_data"] is None
    assert "retention" in payload["error_message"]


class _SlowForOne(Bench):
    """The receiver ``slow.example`` never answers."""

    async def _send(self, url: str, message_id: str, body: Body) -> tuple[bool, str]:
        if "slow" in url:
            await asyncio.sleep(3600)
        return await super()._send(url, message_id, body)


async def test_a_receiver_that_does_not_answer_holds_up_nobody_elses_callbacks(tmp_path: Path) -> None:
    bench = _SlowForOne(str(tmp_path))
    await asyncio.gather(*(bench.submit(f"slow-{n}", callback="http://slow.example/") for n in range(40)))
    await bench.submit("quick", callback="http://quick.example/")
    for task_id in (*(f"slow-{n}" for n in range(40)), "quick"):
        await bench.tracker.cancel(task_id)
    for _ in range(500):
        if bench.sent:
            break
        await asyncio.sleep(0.02)
    assert [message["id"] for message in bench.sent] == ["msg_quick"]
    await bench.close()
