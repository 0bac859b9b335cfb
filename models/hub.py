"""Folders of diffusers pipelines: the operator's, else Hugging Face's cache, else downloaded once per node."""

import logging
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from models.errors import ModelUnavailable
from models.weights import FILES_NOT_WRITTEN, is_full

log = logging.getLogger("ray.serve")

_INDEX_FILES = ("model_index.json", "config.json")
"""Of a whole pipeline, or of one of its parts."""


class PipelineStore:
    """``model_dir``: searched first, as ``MODEL_DIR/owner/name``, and downloaded to; None: Hugging Face's cache.

    ``HF_ENDPOINT`` (a mirror), ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` mean what they mean to ``huggingface_hub``, which
    downloads to a temporary file, checks its size and renames it.
    """

    def __init__(self, model_dir: Path | None, fetch: Callable[[str, Path | None], Path] | None = None) -> None:
        self._model_dir = model_dir
        self._fetch = fetch or _fetch

    def find(self, name: str) -> Path | None:
        """Where it is on this machine; None when it would have to be fetched."""
        if self._model_dir and _is_whole(folder := self._model_dir / name):
            return folder
        return next((found for place in {self._model_dir, None} if (found := _cached(name, place))), None)

    def ensure(self, name: str) -> Path:
        """The local folder, downloading it if need be. Raises ``ModelUnavailable``."""
        if (found := self.find(name)) is not None:
            return found
        folder = self._model_dir or _hub_cache()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{name.replace('/', '--')}.lock"):
                # Another process may have fetched it while this one waited.
                return self.find(name) or self._fetch(name, self._model_dir)
        except (OSError, ValueError) as error:
            log.warning("download failed", extra={"model": name, "why": repr(error)})
            if is_full(error):
                raise ModelUnavailable(FILES_NOT_WRITTEN.format(model=name, folder=folder)) from error
            raise ModelUnavailable(
                f"the pipeline {name} could not be downloaded from Hugging Face. "
                f"Allow the connection, or place the folder at MODEL_DIR/{name}."
            ) from error


def _is_whole(folder: Path) -> bool:
    return any((folder / index).is_file() for index in _INDEX_FILES)


def _cached(name: str, model_dir: Path | None) -> Path | None:
    """In the hub's own layout."""
    from huggingface_hub import try_to_load_from_cache

    for index in _INDEX_FILES:
        found = try_to_load_from_cache(name, index, cache_dir=model_dir)
        if isinstance(found, str):
            return Path(found).parent
    return None


def _fetch(name: str, model_dir: Path | None) -> Path:
    """float16 files where the repository has them, as IOPaint asks for."""
    from diffusers import AutoencoderKL, DiffusionPipeline
    from huggingface_hub import file_exists

    where = {"cache_dir": model_dir} if model_dir else {}
    if not file_exists(name, "model_index.json"):
        AutoencoderKL.from_pretrained(name, **where)  # type: ignore[no-untyped-call]
    else:
        for variant in ("fp16", None):
            try:
                DiffusionPipeline.download(name, variant=variant, safety_checker=None, **where)
                break
            except ValueError:  # there are none of that variant
                if variant is None:
                    raise
    found = _cached(name, model_dir)
    if found is None:
        raise OSError(f"{name} was not found in the cache after its download")
    return found


def _hub_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)
