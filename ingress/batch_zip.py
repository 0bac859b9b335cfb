"""A zip written as it is read: no file, no seeking, no more than one member in memory."""

import io
import zipfile


class BatchZip:
    """Pictures are stored, not deflated: they are compressed already."""

    def __init__(self) -> None:
        self._out = _Unseekable()
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_STORED)

    def add(self, name: str, data: bytes) -> bytes:
        """The next piece of the zip."""
        self._zip.writestr(name, data)
        return self._out.take()

    def finish(self) -> bytes:
        """The last piece: the directory."""
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
