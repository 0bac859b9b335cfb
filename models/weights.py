"""Weights files: found in a local folder or IOPaint's cache, else downloaded once per node, atomically, verified.

IOPaint's own downloader is never called: it leaves partial files behind and exits the process on a bad checksum.
"""

import errno
import hashlib
import logging
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pooch
import requests
from filelock import FileLock

from models.catalog import ERASE
from models.errors import ModelUnavailable

log = logging.getLogger("ray.serve")
T = TypeVar("T")

FILES_NOT_WRITTEN = "the weights of {model} could not be written to {folder}: the disk is full. Make room there."


class BadWeights(Exception):
    """A file that is not what it should be. Caught where it can be replaced; no client sees it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        self.inode = inode_of(path)


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file that a model needs; ``md5`` empty means: not checked."""

    url: str
    md5: str

    @property
    def name(self) -> str:
        return Path(urlsplit(self.url).path).name


Sources = Mapping[str, str]
"""IOPaint's ``*_URL`` and ``*_MD5`` variables that the operator has set."""


def weights_files(name: str, sources: Sources | None = None) -> dict[str, WeightsFile]:
    """The files of one of ``ERASE``, by the constant that holds the URL in IOPaint's module; the main one first."""
    given, files = sources or {}, dict[str, WeightsFile]()
    for prefix in ERASE[name].files:
        url, md5 = ERASE[name].published(prefix)
        files[f"{prefix}_URL"] = WeightsFile(given.get(f"{prefix}_URL") or url, given.get(f"{prefix}_MD5", md5))
    return files


class WeightsStore:
    """``model_dir``: the operator's folder, searched first and downloaded to; None means IOPaint's cache folder."""

    def __init__(self, model_dir: Path | None, fetch: Callable[[WeightsFile, Path], None] | None = None) -> None:
        self._model_dir = model_dir
        self._fetch = fetch or _fetch

    def find(self, file: WeightsFile) -> Path | None:
        """Where it is on this machine; None when it would have to be fetched."""
        folder = self._model_dir or iopaint_cache()
        candidates = (folder / file.name, iopaint_cache() / file.name)
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    def ensure(self, model: str, file: WeightsFile) -> Path:
        """The local path of a whole file, downloading it if need be. Raises ``ModelUnavailable``.

        One that is damaged is set aside first.
        """
        was = ""
        if (found := self.find(file)) is not None:
            inode = inode_of(found)
            if is_whole(found):
                return found
            was = _was_bad(model, found, self.set_aside(found, inode))
        folder = self._model_dir or iopaint_cache()
        target = folder / file.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_suffix(".lock")):
                if not target.is_file():  # another process may have fetched it while this one waited
                    self._fetch(file, target)
        except (OSError, ValueError) as error:
            log.warning("download failed", extra={"model": model, "url": file.url, "why": repr(error)})
            raise ModelUnavailable(was + _why_not(model, file, folder, error)) from error
        return target

    def replacing_bad_files(self, model: str, load: Callable[[], T]) -> T:
        """``load``, and once more after a file that it says is bad was set aside, so that it is fetched again.

        ``load`` raises ``BadWeights``. Raises ``ModelUnavailable``.
        """
        was = ""
        for _ in range(2):
            try:
                return load()
            except ModelUnavailable as error:
                if not was:
                    raise  # "from" itself would make a chain without an end
                raise ModelUnavailable(was + error.message) from error
            except BadWeights as error:
                was += _was_bad(model, error.path, self.set_aside(error.path, error.inode))
        raise ModelUnavailable(f"{was}Place one that is right in MODEL_DIR.")

    def set_aside(self, path: Path, inode: int) -> Path | None:
        """Rename a file that does not load, so that it is fetched again and can be looked at.

        ``inode``: of the file that was looked at. None: another process has put it aside meanwhile. Raises
        ``ModelUnavailable`` where it cannot be renamed, as in a folder that is mounted read-only.
        """
        try:
            with FileLock(path.with_suffix(".lock")):
                if inode_of(path) != inode:
                    return None
                number = next(n for n in range(1, 1_000_000) if not path.with_name(f"{path.name}.bad-{n}").exists())
                bad = path.with_name(f"{path.name}.bad-{number}")
                path.rename(bad)
        except OSError as error:
            raise ModelUnavailable(
                f"the weights file {path.name} does not load, and it cannot be put aside in {path.parent} "
                f"({error.strerror or error}). Place one that is right there."
            ) from error
        log.warning("weights file does not load; set aside", extra={"file": path.name, "now": bad.name})
        return bad


def is_whole(path: Path) -> bool:
    """False for an archive (TorchScript's and PyTorch's files are) with damage anywhere in it."""
    if not zipfile.is_zipfile(path):
        return True  # an older format, or cut off: loading tells
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return False


def inode_of(path: Path) -> int:
    """0 when it is not there."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def is_full(error: BaseException | None) -> bool:
    """Whether it is, or comes from, a disk or quota that is full, or a file that may not grow further."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        error = error.__cause__ or error.__context__
    return False


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _was_bad(model: str, path: Path, bad: Path | None) -> str:
    put = f"was renamed to {bad.name}" if bad else "was put aside"
    return f"the weights file {path.name} of {model} does not load and {put}; "


def _why_not(model: str, file: WeightsFile, folder: Path, error: Exception) -> str:
    if is_full(error):
        return FILES_NOT_WRITTEN.format(model=model, folder=folder)
    host = urlsplit(file.url).hostname or file.url
    if isinstance(error, _WrongChecksum):
        return (
            f"the file {file.name} of {model} that {host} sends has not the MD5 {file.md5}; it is not used. "
            f"Place the right file in MODEL_DIR, or set the variable ..._MD5 of your own file."
        )
    return (
        f"the weights of {model} could not be downloaded from {host}. "
        f"Allow the connection, or place {file.name} in MODEL_DIR."
    )


class _WrongChecksum(ValueError):
    """Of what was downloaded."""


def _fetch(file: WeightsFile, target: Path) -> None:
    """Download with a progress bar; pooch writes to a temporary file and renames it once the checksum holds."""
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=(5, 60))
    known_hash = f"md5:{file.md5}" if file.md5 else None
    try:
        pooch.retrieve(file.url, known_hash, fname=target.name, path=target.parent, downloader=downloader)
    except requests.RequestException as error:
        raise OSError(str(error)) from error
    except ValueError as error:
        raise _WrongChecksum(str(error)) from error


def iopaint_cache() -> Path:
    """Where IOPaint itself puts its files."""
    from torch.hub import get_dir

    return Path(get_dir()) / "checkpoints"
