"""The few operations that the task archive needs, on a directory or an object store alike, with one kind of failure."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from deployments.errors import ArchiveUnavailable

if TYPE_CHECKING:  # exists in the stubs only
    from obstore import GetResult

log = logging.getLogger("ray.serve")

_RETRY_S = 20.0
"""obstore repeats what an object store refused for so long (its own limit is three minutes: a client waits)."""
_PIECE_BYTES = 1_048_576
_WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredFile:
    path: str
    size: int
    modified_at: float


def open_store(url: str) -> ObjectStore:
    """A folder (created when missing) for a plain path or ``file://``; else the store of the URL's scheme."""
    if "://" in url and not url.startswith("file://"):
        return from_url(url, retry_config={"retry_timeout": timedelta(seconds=_RETRY_S)})
    return LocalStore(Path(url.removeprefix("file://")), mkdir=True)


class ArchiveStore:
    """Every method raises ``ArchiveUnavailable`` when the store cannot be reached, read or written."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, path: str, data: bytes) -> None:
        with _guarded(path):
            await obstore.put_async(self._store, path, data)

    async def create(self, path: str, data: bytes) -> bool:
        """False when the path exists. A put that was repeated after its answer got lost says so, too."""
        try:
            with _guarded(path):
                await obstore.put_async(self._store, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    async def get(self, path: str) -> bytes | None:
        """None when there is no such file."""
        try:
            with _guarded(path):
                return bytes(await (await obstore.get_async(self._store, path)).bytes_async())
        except FileNotFoundError:
            return None

    async def stream(self, path: str) -> tuple[int, AsyncIterator[bytes]] | None:
        """The size, and the bytes in pieces; None when there is no such file."""
        try:
            with _guarded(path):
                found = await obstore.get_async(self._store, path)
        except FileNotFoundError:
            return None
        return found.meta["size"], _pieces(found, path)

    async def files(self, prefix: str) -> AsyncIterator[StoredFile]:
        """Everything below a prefix, in pages."""
        with _guarded(prefix):
            async for page in obstore.list(self._store, prefix=prefix, chunk_size=1000):
                for item in page:
                    yield StoredFile(item["path"], item["size"], item["last_modified"].timestamp())

    async def delete(self, paths: Sequence[str]) -> None:
        if not paths:
            return
        try:
            with _guarded(paths[0]):
                await obstore.delete_async(self._store, list(paths))
        except FileNotFoundError:  # another tracker was quicker; a directory minds, an object store does not
            for path in paths:
                await self._delete_one(path)

    async def _delete_one(self, path: str) -> None:
        try:
            with _guarded(path):
                await obstore.delete_async(self._store, path)
        except FileNotFoundError:
            return


async def patiently(call: Callable[[], Awaitable[T]], waits_s: Sequence[float] = _WAITS_S) -> T:
    """Again after each wait while the archive fails: for work that is too dear to be done again."""
    for wait_s in waits_s:
        try:
            return await call()
        except ArchiveUnavailable:
            await asyncio.sleep(wait_s)
    return await call()


async def _pieces(found: "GetResult", path: str) -> AsyncIterator[bytes]:
    with _guarded(path):
        async for piece in found.stream(min_chunk_size=_PIECE_BYTES):
            yield bytes(piece)


@contextmanager
def _guarded(path: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, AlreadyExistsError):
        raise
    except (BaseError, OSError) as error:
        why = str(error).partition("\n")[0][:300]
        log.error("archive not available", extra={"path": path, "why": why})
        raise ArchiveUnavailable(
            "The archive of tasks cannot be read or written now. Try again in a moment.", retry_after_s=5
        ) from error
