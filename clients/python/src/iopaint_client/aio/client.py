"""The client."""

from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, Unpack

from iopaint_client import calls
from iopaint_client.aio.platform import HttpTransport, in_thread, sleep
from iopaint_client.aio.tasks import AsyncBatch, AsyncTask
from iopaint_client.aio.transport import AsyncTransport
from iopaint_client.errors import TextRemovalClientError, TimedOut
from iopaint_client.options import Options, TextOptions, WorkOptions
from iopaint_client.pictures import ImageInput, Picture
from iopaint_client.regions import RegionInput
from iopaint_client.retries import Retries, worth_repeating
from iopaint_client.states import BatchItem, Health, Info, Queue, TextLine
from iopaint_client.wire import deadline, left

_POLL_S = 0.5


class AsyncClient:
    """One service; close it, or use it in a ``with`` (``async with``). The blocking one may be shared between
    threads; the one for asyncio belongs to one event loop.

    ``timeout_s`` is for one answer: a synchronous call may take as long as the service's REQUEST_TIMEOUT.
    ``transport`` replaces httpx's own, for tests and unusual networks.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:8081",
        *,
        api_key: str | None = None,
        timeout_s: float = 330.0,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        transport: HttpTransport | None = None,
    ) -> None:
        self._transport = AsyncTransport(base_url, api_key, timeout_s, retries, transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    # --- the service

    async def health(self) -> Health:
        """Also when it is starting or unhealthy."""
        return await self._transport.send(calls.health())

    async def wait_ready(self, timeout_s: float = 60.0) -> Health:
        """Until it is healthy, also from before it listens: a service that starts needs some seconds. Raises
        ``TimedOut``, which tells what hindered it last, and at once what no waiting changes."""
        end = deadline(timeout_s)
        hindered, cause = "no time was given", None
        while left(end):
            try:
                health = await self._transport.once(calls.health(), end)
                if health.status == "healthy":
                    return health
                hindered, cause = f"{health.status}: {health.message}", None
            except TextRemovalClientError as error:
                if not (worth_repeating(error) or isinstance(error, TimedOut)):
                    raise
                hindered, cause = str(error), error
            await sleep(left(end, _POLL_S))
        raise TimedOut(f"The service is not ready after {timeout_s} s: {hindered}") from cause

    async def info(self) -> Info:
        return await self._transport.send(calls.info())

    async def queue(self) -> Queue:
        return await self._transport.send(calls.queue())

    # --- now

    async def remove_text(
        self, image: ImageInput, regions: Iterable[RegionInput] | None = None, **options: Unpack[WorkOptions]
    ) -> Picture:
        """The picture without what the regions hold; without regions, without the text that the service finds."""
        return await self._transport.send(await in_thread(calls.remove_text, image, regions, options))

    async def detect_text(self, image: ImageInput, **options: Unpack[TextOptions]) -> list[TextLine]:
        """The lines of text in a picture."""
        return await self._transport.send(await in_thread(calls.detect_text, image, options))

    async def inpaint(self, image: ImageInput, mask: ImageInput, **options: Unpack[Options]) -> Picture:
        """The picture without what the mask marks white."""
        return await self._transport.send(await in_thread(calls.inpaint, image, mask, options))

    async def measure(
        self, image: ImageInput, regions: Iterable[RegionInput], **options: Unpack[Options]
    ) -> Mapping[str, Any]:
        """The work is done, the figures come back, the picture does not."""
        return await self._transport.send(await in_thread(calls.measure, image, regions, options))

    # --- later

    async def submit(
        self,
        image: ImageInput,
        regions: Iterable[RegionInput] | None = None,
        *,
        task_id: str | None = None,
        callback_url: str | None = None,
        priority: int = 0,
        **options: Unpack[WorkOptions],
    ) -> "AsyncTask":
        """Accepted when this returns: the task ends, whatever dies. Repeats find the task that was accepted first."""
        call = await in_thread(calls.submit, image, regions, task_id, callback_url, priority, options)
        return AsyncTask(self._transport, await self._transport.send(call))

    def task(self, task_id: str) -> "AsyncTask":
        """One submitted before; nothing is asked yet."""
        return AsyncTask(self._transport, task_id)

    async def submit_batch(
        self,
        items: Iterable[BatchItem],
        *,
        batch_id: str | None = None,
        callback_url: str | None = None,
        priority: int = 0,
        **options: Unpack[Options],
    ) -> "AsyncBatch":
        """All of them are accepted, or none. ``options`` hold for the items that say nothing else."""
        call = await in_thread(calls.submit_batch, items, batch_id, callback_url, priority, options)
        made, _ = await self._transport.send(call)
        return AsyncBatch(self._transport, made)

    def batch(self, batch_id: str) -> "AsyncBatch":
        return AsyncBatch(self._transport, batch_id)

    def messages(self) -> AsyncIterator[Mapping[str, Any]]:
        """The service's messages about all tasks, as they come, until you stop. A connection that breaks is made again.
        Raises ``Unauthorized``, ``ConnectionFailed`` where there is no service at first."""
        return self._transport.listen()
