"""Files that are whole, or not there."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """It takes its name once all is written; until then, and after any failure, what was there stays."""
    if path.exists() and not path.is_file():  # a device or a pipe is written to: replaced, it would be gone
        with path.open("wb") as file:
            yield file
        return
    target = path.resolve()  # a link stays one
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            yield file
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # the part's name says nothing to anybody
    finally:
        part.unlink(missing_ok=True)
