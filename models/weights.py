"""Weights files: found in a local folder or IOPaint's cache, else downloaded once per node, atomically, verified.

URLs and checksums are IOPaint's own constants, so that its environment overrides hold. IOPaint's downloader is never
called: it leaves partial files behind and exits the process on a bad checksum.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
from filelock import FileLock

from models.errors import ModelUnavailable

log = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file that a model needs; ``md5`` empty means: not checked."""

    url: str
    md5: str

    @property
    def name(self) -> str:
        return Path(urlsplit(self.url).path).name


class WeightsStore:
    """``model_dir``: the operator's folder, searched first and downloaded to; None means IOPaint's cache folder."""

    def __init__(self, model_dir: Path | None, fetch: Callable[[WeightsFile, Path], None] | None = None) -> None:
        self._model_dir = model_dir
        self._fetch = fetch or _fetch

    def find(self, file: WeightsFile) -> Path | None:
        """Where it is on this machine; None when it would have to be fetched."""
        folder = self._model_dir or _iopaint_cache()
        candidates = (folder / file.name, _iopaint_cache() / file.name)
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    def ensure(self, model: str, file: WeightsFile) -> Path:
        """The local path of a whole file, downloading it if need be. Raises ``ModelUnavailable``."""
        if (found := self.find(file)) is not None:
            return found
        folder = self._model_dir or _iopaint_cache()
        target = folder / file.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_suffix(".lock")):
                if not target.is_file():  # another process may have fetched it while this one waited
                    self._fetch(file, target)
        except (OSError, ValueError) as error:
            log.warning("download failed", extra={"model": model, "url": file.url, "why": repr(error)})
            host = urlsplit(file.url).hostname or file.url
            raise ModelUnavailable(
                f"the weights of {model} could not be downloaded from {host}. "
                f"Allow the connection, or place {file.name} in MODEL_DIR."
            ) from error
        return target

    def set_aside(self, path: Path) -> Path:
        """Rename a file that does not load, so that it is fetched again and can be looked at."""
        for number in range(1, 1000):
            bad = path.with_name(f"{path.name}.bad-{number}")
            if not bad.exists():
                path.rename(bad)
                log.warning("weights file does not load; set aside", extra={"file": path.name, "now": bad.name})
                return bad
        raise ModelUnavailable(f"The weights file {path.name} does not load.")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(file: WeightsFile, target: Path) -> None:
    """Download with a progress bar; pooch writes to a temporary file and renames it once the checksum holds."""
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=(5, 60))
    known_hash = f"md5:{file.md5}" if file.md5 else None
    try:
        pooch.retrieve(file.url, known_hash, fname=target.name, path=target.parent, downloader=downloader)
    except requests.RequestException as error:
        raise OSError(str(error)) from error


def _iopaint_cache() -> Path:
    from torch.hub import get_dir

    return Path(get_dir()) / "checkpoints"
