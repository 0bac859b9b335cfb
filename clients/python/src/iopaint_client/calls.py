"""Every call as a value: what is sent, and what its answer means. No I/O, so the sync and async clients share it.

Each may be repeated: work on an image changes nothing, cancelling and forgetting are final, and a task or batch is
submitted under an id made here, which the service accepts once. The one exception says so (``repeatable``).
"""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx

from iopaint_client import errors
from iopaint_client.options import Options, TextOptions, WorkOptions
from iopaint_client.pictures import ImageInput, Picture, file_of
from iopaint_client.regions import RegionInput, to_wire
from iopaint_client.retries import retry_after_s
from iopaint_client.states import BatchItem, BatchState, Delivery, Health, Info, Queue, TaskState, TextLine
from iopaint_client.wire import checked_id

T_co = TypeVar("T_co", covariant=True)
_NO_OPTIONS = Options()


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    method: str
    path: str
    parse: Callable[[httpx.Response], T_co]
    form: Mapping[str, str] | None = None
    files: Mapping[str, tuple[str, bytes]] | None = field(default=None, repr=False)
    repeatable: bool = True
    also_ok: tuple[int, ...] = ()
    gone_is_done: bool = False
    """Its subject is gone afterwards: a repeat finds nothing when only the first answer was lost."""

    def request(self, client: "httpx.Client | httpx.AsyncClient", timeout: httpx.Timeout) -> httpx.Request:
        # httpx builds an empty form as no body at all.
        return client.build_request(self.method, self.path, data=self.form, files=self.files, timeout=timeout)

    def answer(self, response: httpx.Response, *, again: bool = False) -> T_co:
        """Raises what the answer means, to a repeat with ``again``. The body has been read."""
        if not response.is_success and response.status_code not in self.also_ok:
            error = error_of(response)
            if not (again and self.gone_is_done and isinstance(error, errors.NotFound)):
                raise error
        try:
            return self.parse(response)
        except (ValueError, KeyError, TypeError) as error:
            raise errors.UnexpectedAnswer(
                f"The answer to {self.method} {self.path} is not this service's.", response.status_code
            ) from error


def error_of(response: httpx.Response) -> errors.TextRemovalClientError:
    try:
        body = response.json()
    except ValueError:
        body = None
    return errors.from_answer(response.status_code, body, retry_after_s(response.headers), response.headers)


def health() -> Call[Health]:
    # 503 with the service's own body is an answer, not a failure.
    return Call("GET", "api/v1/health", lambda r: Health.from_wire(r.json()), also_ok=(503,))


def info() -> Call[Info]:
    return Call("GET", "api/v1/info", lambda r: Info.from_wire(r.json()))


def queue() -> Call[Queue]:
    return Call("GET", "api/v1/tasks", lambda r: Queue.from_wire(r.json()))


def remove_text(image: ImageInput, regions: Iterable[RegionInput] | None, options: WorkOptions) -> Call[Picture]:
    path = "api/v1/remove-text" if regions is None else "api/v1/inpaint-regions"
    return Call("POST", path, _picture, _form(options, regions), {"image": file_of("image", image)})


def detect_text(image: ImageInput, options: TextOptions) -> Call[list[TextLine]]:
    files = {"image": file_of("image", image)}
    return Call("POST", "api/v1/detect-text", _lines, _form(options), files)


def inpaint(image: ImageInput, mask: ImageInput, options: Options) -> Call[Picture]:
    files = {"image": file_of("image", image), "mask": file_of("mask", mask)}
    return Call("POST", "api/v1/inpaint", _picture, _form(options), files)


def measure(image: ImageInput, regions: Iterable[RegionInput], options: Options) -> Call[Mapping[str, Any]]:
    files = {"image": file_of("image", image)}
    path = "api/v1/inpaint-regions-json"
    return Call("POST", path, lambda r: dict(r.json()["processing_stats"]), _form(options, regions), files)


def submit(
    image: ImageInput,
    regions: Iterable[RegionInput] | None,
    task_id: str | None,
    callback_url: str | None,
    priority: int,
    options: WorkOptions,
) -> Call[str]:
    form = _form(options, regions) | {"task_id": checked_id(task_id or uuid.uuid4().hex)}
    form["priority"] = str(priority)
    if callback_url:
        form["callback_url"] = callback_url
    path = "api/v1/remove-text-async" if regions is None else "api/v1/inpaint-regions-async"
    return Call("POST", path, lambda r: str(r.json()["task_id"]), form, {"image": file_of("image", image)})


def task_state(task_id: str) -> Call[TaskState]:
    return Call("GET", f"api/v1/task-status/{task_id}", lambda r: TaskState.from_wire(r.json()))


def task_result(task_id: str) -> Call[Picture]:
    return Call("GET", f"api/v1/task-result/{task_id}", _picture)


def cancel_task(task_id: str) -> Call[None]:
    return Call("POST", f"api/v1/cancel-task/{task_id}", lambda _: None)


def forget_task(task_id: str) -> Call[None]:
    return Call("DELETE", f"api/v1/tasks/{task_id}", lambda _: None, gone_is_done=True)


def task_stats(task_id: str) -> Call[Mapping[str, Any]]:
    return Call("GET", f"api/v1/tasks/{task_id}/stats", lambda r: dict(r.json()))


def deliveries(task_id: str) -> Call[list[Delivery]]:
    return Call("GET", f"api/v1/tasks/{task_id}/deliveries", _deliveries)


def redeliver(task_id: str) -> Call[list[Delivery]]:
    return Call("POST", f"api/v1/tasks/{task_id}/deliveries", _deliveries, repeatable=False)


def submit_batch(
    items: Iterable[BatchItem], batch_id: str | None, callback_url: str | None, priority: int, options: Options
) -> Call[tuple[str, list[str]]]:
    form = {"batch_id": checked_id(batch_id or uuid.uuid4().hex), "priority": str(priority)}
    files: dict[str, tuple[str, bytes]] = {}
    told: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        told.append(dict(options) | dict(item.options))
        files[f"image_{number}"] = file_of("image", item.image)
        if item.mask is not None:
            files[f"mask_{number}"] = file_of("mask", item.mask)
        if item.regions is not None:
            told[-1]["regions"] = to_wire(item.regions)
    form["items"] = json.dumps(told)
    if callback_url:
        form["callback_url"] = callback_url
    path = "api/v1/inpaint-batch"
    return Call("POST", path, lambda r: (str(r.json()["batch_id"]), list(r.json()["task_ids"])), form, files)


def batch_state(batch_id: str) -> Call[BatchState]:
    return Call("GET", f"api/v1/batch-status/{batch_id}", lambda r: BatchState.from_wire(r.json()))


def cancel_batch(batch_id: str) -> Call[BatchState]:
    return Call("POST", f"api/v1/cancel-batch/{batch_id}", lambda r: BatchState.from_wire(r.json()))


def batch_zip(batch_id: str) -> Call[None]:
    return Call("GET", f"api/v1/batch-result/{batch_id}", lambda _: None)


_AREAS = ("include", "exclude")
_TEXT = frozenset(TextOptions.__annotations__)


def _form(options: Mapping[str, Any], regions: Iterable[RegionInput] | None = None) -> dict[str, str]:
    """Without regions the service finds the text itself. Raises ``TypeError`` for what would be ignored."""
    if regions is not None and (unused := _TEXT & options.keys()):
        raise TypeError(f"{', '.join(sorted(unused))}: only for calls without regions, which find the text")
    given = {name: value for name, value in options.items() if value is not None}
    form = {name: json.dumps(to_wire(value)) if name in _AREAS else str(value) for name, value in given.items()}
    return form if regions is None else form | {"regions": json.dumps(to_wire(regions))}


def _lines(response: httpx.Response) -> list[TextLine]:
    return [TextLine.from_wire(line) for line in response.json()["lines"]]


def _picture(response: httpx.Response) -> Picture:
    if not response.headers.get("content-type", "").startswith("image/"):
        raise ValueError("not a picture")
    return Picture.from_answer(response.content, response.headers)


def _deliveries(response: httpx.Response) -> list[Delivery]:
    names = Delivery.__dataclass_fields__
    return [Delivery(**{name: one[name] for name in names}) for one in response.json()["deliveries"]]
