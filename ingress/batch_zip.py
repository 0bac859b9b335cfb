"""A zip written as it is read: no file, no seeking, no whole picture in memory."""

import io
import time
import zipfile
from collections.abc import AsyncIterator


class BatchZip:
    """Pictures are stored, not deflated: they are compressed already."""

    def __init__(self) -> None:
        self._out = _Unseekable()
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_STORED)

    async def add(self, name: str, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The next pieces of the zip. A stream's member tells its size behind it."""
        about = zipfile.ZipInfo(name, time.localtime()[:6])
        about.external_attr = 0o600 << 16
        with self._zip.open(about, "w") as member:
            async for piece in pieces:
                member.write(piece)
                yield self._out.take()
        yield self._out.take()

    def finish(self, name: str, data: bytes) -> bytes:
        """The last piece: a small member, and the directory."""
        self._zip.writestr(name, data)
        self._zip.close()
        return self._out.take()


class _Unseekable(io.RawIOBase):
    """What ``zipfile`` writes to a stream that cannot be rewound, until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken
