"""What the Python client does where no service is needed: repeats, errors, images, callbacks. The rest: tests/serve."""

import dataclasses
import email.utils
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import iopaint_client as sdk
import numpy as np
import pytest
from iopaint_client import webhooks
from iopaint_client.pictures import file_of
from iopaint_client.story import Story, websocket_url
from PIL import Image

from deployments.callback_policy import CallbackPolicy
from deployments.errors import QueueFull
from deployments.webhooks import WebhookSender, _fixed
from ingress.app import create_app
from ingress.errors import STATUS
from ingress.schemas.requests import Parameters, TextFields
from tests.support import sync_client
from tests.support.fakes import config, services
from tests.support.network import FAST, client
from tests.support.pictures import encoded, photo

IMAGE = encoded(photo())
REGION = sdk.Rect(10, 20, 30, 20)
OURS = {"detail": "The queue is full.", "error": "queue_full", "request_id": "r1"}


def picture() -> httpx.Response:
    return httpx.Response(200, content=IMAGE, headers={"content-type": "image/png", "x-model": "cv2"})


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(404, text="Path '/api/v1/inpaint-regions' not found."),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(503, json=OURS | {"error": "service_unavailable"}, headers={"retry-after": "0"}),
        httpx.Response(429, json=OURS, headers={"retry-after": "0"}),
    ],
    ids=lambda f: str(getattr(f, "status_code", f)),
)
def test_a_passing_failure_is_overcome(failure: httpx.Response | Exception) -> None:
    with client(failure, failure, picture())[0] as one:
        assert one.remove_text(IMAGE, [REGION]).data == IMAGE


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (404, "task_not_found", sdk.NotFound),
        (409, "task_conflict", sdk.Conflict),
        (410, "result_expired", sdk.ResultExpired),
        (413, "image_too_large", sdk.TooLarge),
        (422, "invalid_field", sdk.InvalidRequest),
        (401, "unauthorized", sdk.Unauthorized),
        (500, "internal_error", sdk.ServiceError),
        (504, "request_timeout", sdk.Unavailable),
    ],
)
def test_a_lasting_refusal_is_told_at_once(status: int, error: str, kind: type[sdk.ServiceError]) -> None:
    one, seen = client(httpx.Response(status, json={"detail": "No.", "error": error, "request_id": "r7"}))
    with pytest.raises(kind) as raised:
        one.remove_text(IMAGE, [REGION])
    assert (raised.value.code, raised.value.status, raised.value.request_id) == (error, status, "r7")
    assert len(seen) == 1


def test_an_answer_in_time_out_is_not_asked_for_again() -> None:
    """The work would begin anew."""
    one, seen = client(httpx.ReadTimeout("slow"))
    with pytest.raises(sdk.TimedOut):
        one.remove_text(IMAGE, [REGION])
    assert len(seen) == 1


def test_retry_after_is_waited_for_and_bounded() -> None:
    soon = email.utils.formatdate(time.time() + 2, usegmt=True)
    start = time.monotonic()
    with client(httpx.Response(429, json=OURS, headers={"retry-after": soon}), picture())[0] as one:
        one.remove_text(IMAGE, [REGION])
    assert time.monotonic() - start > 0.8  # the date has whole seconds
    start = time.monotonic()
    one, seen = client(httpx.Response(429, json=OURS, headers={"retry-after": "3600"}))
    with pytest.raises(sdk.QueueFull) as raised:
        one.remove_text(IMAGE, [REGION])
    assert (raised.value.retry_after_s, len(seen)) == (3600, 1)
    assert time.monotonic() - start < 1


async def test_the_awaited_client_repeats_too() -> None:
    answers = iter([httpx.Response(502, text="no"), picture()])
    network = httpx.MockTransport(lambda request: next(answers))
    async with sdk.AsyncClient("http://service.test", retries=FAST, transport=network) as one:
        assert (await one.remove_text(IMAGE, [REGION])).data == IMAGE


def test_repeats_end() -> None:
    one, seen = client(httpx.ConnectError("refused"), retries=sdk.Retries(attempts=3, first_s=0.001))
    with pytest.raises(sdk.ConnectionFailed):
        one.health()
    assert len(seen) == 3


def test_a_submission_that_is_repeated_keeps_its_id_and_sending_a_callback_is_not_repeated() -> None:
    accepted = httpx.Response(202, json={"task_id": "t", "status": "pending"})
    one, seen = client(httpx.ReadError("cut"), accepted)
    one.submit(IMAGE, [REGION])
    bodies = [request.read() for request in seen]
    ids = [body.split(b'name="task_id"')[1].split(b"--")[0] for body in bodies]
    assert ids[0] == ids[1]
    assert len(ids[0].strip()) == 32
    one, seen = client(httpx.ReadError("cut"))
    with pytest.raises(sdk.ConnectionFailed):
        one.task("t").redeliver()
    assert len(seen) == 1


def test_another_service_is_recognised() -> None:
    one, _ = client(httpx.Response(200, text="<html>welcome</html>", headers={"content-type": "text/html"}))
    for ask in (one.info, lambda: one.remove_text(IMAGE, [REGION])):
        with pytest.raises(sdk.UnexpectedAnswer):
            ask()


def test_files_go_as_multipart_and_the_real_application_takes_them() -> None:
    made, inpainter, _ = services()
    app = create_app(made, config())
    sent: list[httpx.Request] = []
    from fastapi.testclient import TestClient

    with TestClient(app) as inner:

        def network(request: httpx.Request) -> httpx.Response:
            sent.append(request)
            answer = inner.request(
                request.method, str(request.url), content=request.read(), headers=dict(request.headers)
            )
            return httpx.Response(answer.status_code, content=answer.content, headers=dict(answer.headers))

        one = sdk.Client("http://testserver", transport=httpx.MockTransport(network), retries=FAST)
        polygon = sdk.Polygon([(1, 2), (30, 4), (5, 60)])
        regions: list[sdk.RegionInput] = [REGION, (1, 2, 3, 4), {"x": 5, "y": 5, "width": 5, "height": 5}, polygon]
        one.remove_text(IMAGE, regions, sd_seed=7, output_format="webp", quality=80)
        inpainter.error = QueueFull("full", retry_after_s=3600)
        with pytest.raises(sdk.QueueFull) as raised:
            one.remove_text(IMAGE, [REGION])
    assert raised.value.retry_after_s == 3600
    job = inpainter.jobs[0]
    assert len(job.regions or ()) == 4
    assert (job.diffusion.seed, job.output.format, job.output.quality) == (7, "webp", 80)
    assert sent[0].headers["content-type"].startswith("multipart/form-data")
    assert len(sent[0].content) < len(IMAGE) + 4000, "no base64"


def test_images_of_every_kind(tmp_path: Path) -> None:
    pixels = photo()
    path = tmp_path / "photo.png"
    path.write_bytes(IMAGE)
    for given in (path, str(path), IMAGE, Image.fromarray(pixels), pixels):
        _, data = file_of("image", given)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    assert file_of("image", path)[0] == "photo.png"
    _, mask = file_of("mask", np.eye(8, dtype=bool))
    assert sorted(np.unique(np.asarray(Image.open(io.BytesIO(mask))))) == [0, 255]
    with pytest.raises(TypeError, match="uint8"):
        file_of("image", pixels.astype(float))
    with pytest.raises(TypeError, match="got int"):
        file_of("image", 7)  # type: ignore[arg-type]
    got = sdk.Picture.from_answer(
        IMAGE, {"content-type": "image/png", "x-seed": "7", "x-erased": "1/2", "x-notes": "50 %25 of %E6%A8%A1."}
    )
    assert (got.seed, got.erased, got.notes) == (7, (1, 2), "50 % of 模.")
    assert np.array_equal(got.to_numpy(), pixels)
    assert got.save(tmp_path / "out.png").read_bytes() == IMAGE


def test_a_story_never_goes_back_and_ends_once() -> None:
    def message(progress: float) -> str:
        fields: dict[str, Any] = dict.fromkeys(("stage", "message", "current_region", "total_regions"))
        told = {"type": "progress_update", "task_id": "a", "status": "processing", "progress": progress}
        return json.dumps(fields | told | {"estimated_remaining": None})

    story = Story(["a"])
    heard = [story.hear(message(progress)) for progress in (20, 50, 30, 50)]
    assert [update and update.progress for update in heard] == [20, 50, None, 50]
    assert story.hear(json.dumps({"type": "task_completed", "task_id": "b"})) is None
    end = story.hear(json.dumps({"type": "task_failed", "task_id": "a", "error_message": "why"}))
    assert end is not None
    assert (end.status, end.message, end.progress, story.over) == ("error", "why", 50, True)
    assert story.hear(message(99)) is None


def test_the_websocket_is_where_the_client_found_the_service() -> None:
    assert websocket_url("https://h:1/some/prefix/", "progress/t") == "wss://h:1/some/prefix/api/v1/ws/progress/t"


async def test_a_callback_is_verified_as_the_service_signs_it() -> None:
    secret = "whsec_" + "c2VjcmV0IG9mIHRoaXMgdGVzdA=="
    sent: list[httpx.Request] = []

    def network(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    payload = {"task_id": "t", "status": "completed", "timestamp": 1.5, "image_data": "aGk="}
    async with httpx.AsyncClient(transport=httpx.MockTransport(network)) as http:
        sender = WebhookSender(CallbackPolicy(("127.0.0.1",)), secret, http)
        assert await sender("http://127.0.0.1/hook", "msg-1", _fixed(payload)) == (True, "HTTP 200")
    body, headers = await sent[0].aread(), dict(sent[0].headers)
    told = webhooks.verify(body, headers, secret)
    assert (told.subject, told.status, told.image, told.message_id) == ("t", "completed", b"hi", "msg-1")
    other = "whsec_" + "b3RoZXIgc2VjcmV0IG9mIHRoaXM="
    old = headers | {"webhook-timestamp": str(int(time.time()) - 3600)}
    for wrong in ((body + b" ", headers, secret), (body, headers, other), (body, {}, secret), (body, old, secret)):
        with pytest.raises(webhooks.NotFromTheService):
            webhooks.verify(*wrong)


def test_the_blocking_client_is_made_from_the_awaited_one() -> None:
    """``scripts/sync_client`` brings it in step."""
    for path, text in sync_client.made().items():
        assert path.read_text() == text, path.name


def test_the_options_are_the_services_parameters() -> None:
    assert set(sdk.Options.__annotations__) == set(Parameters.model_fields) - {"image"}
    assert set(sdk.TextOptions.__annotations__) == set(TextFields.model_fields)


TYPES = (Path(__file__).parents[3] / "clients/js/src/index.d.ts").read_text()


def body_of(kind: str, name: str) -> str:
    (body,) = re.findall(rf"^export {kind} {name}\b[^{{\n]*\{{(.*?)\n\}}", TYPES, re.DOTALL | re.MULTILINE)
    return str(body)


@pytest.mark.parametrize("name", ["Options", "TextOptions"])
def test_the_javascript_clients_types_name_the_same_options(name: str) -> None:
    assert set(re.findall(r"^  (\w+)\?:", body_of("interface", name), re.MULTILINE)) == set(
        getattr(sdk, name).__annotations__
    )


@pytest.mark.parametrize("name", ["Client", "Task", "Batch"])
def test_all_clients_have_the_same_calls(name: str) -> None:
    """By the same names, each in its language's spelling; JavaScript has nothing to close."""
    theirs = {_snake(call) for call in re.findall(r"^  (\w+)\(", body_of("class", name), re.MULTILINE)} - {
        "constructor"
    }
    for kind in (getattr(sdk, name), getattr(sdk, f"Async{name}")):
        assert {call for call in vars(kind) if not call.startswith("_")} - {"close"} == theirs


@pytest.mark.parametrize("name", ["Picture", "Update"])
def test_what_the_clients_tell_has_the_same_names(name: str) -> None:
    kind = "class" if name == "Picture" else "interface"
    theirs = {_snake(field) for field in re.findall(r"^  (?:readonly )?(\w+)\??:", body_of(kind, name), re.MULTILINE)}
    ours = {field.name for field in dataclasses.fields(getattr(sdk, name))}
    assert ours - theirs == ({"data"} if name == "Picture" else set())
    assert theirs - ours == ({"blob"} if name == "Picture" else {"ended"})


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: "_" + found[1].lower(), name)


def test_options_for_found_text_go_as_the_service_reads_them_and_not_beside_regions() -> None:
    one, seen = client(
        httpx.Response(200, json={"lines": [{"points": [[0, 0], [9, 0], [9, 9], [0, 9]], "score": 0.9}]})
    )
    (line,) = one.detect_text(IMAGE, min_score=0.8, include=[REGION], exclude=[(1, 2, 3, 4)])
    assert line.score == 0.9
    body = seen[0].read().decode("latin-1")
    for field in ('name="min_score"\r\n\r\n0.8', 'name="include"\r\n\r\n[{"x": 10', 'name="exclude"\r\n\r\n[{"x": 1'):
        assert field in body
    with pytest.raises(TypeError, match="min_score"):
        one.remove_text(IMAGE, [REGION], min_score=0.8)


def test_every_code_of_the_service_has_a_class() -> None:
    """Only a bug (500) and a call that the client itself gave up (499) have none of their own."""
    from iopaint_client.errors import from_answer

    for code, status in STATUS.items():
        error = from_answer(status, {"detail": "x", "error": code}, None)
        assert isinstance(error, sdk.ServiceError)
        assert type(error) is not sdk.ServiceError or status in (499, 500), code
