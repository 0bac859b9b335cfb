"""Folders of diffusers pipelines: the operator's, else Hugging Face's cache, else downloaded once per node."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from models.errors import ModelUnavailable
from models.weights import FILES_NOT_WRITTEN, iopaint_cache, is_full

log = logging.getLogger("ray.serve")

_INDEX_FILES = ("model_index.json", "config.json")
"""Of a whole pipeline, or of one of its parts."""
_NOT_USED = ("safety_checker", "feature_extractor", "image_encoder")


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
        if self._model_dir and any((self._model_dir / name / index).is_file() for index in _INDEX_FILES):
            return self._model_dir / name
        places = (self._model_dir, baked_pipelines(), None)
        return next((found for place in places if (found := _cached(name, place))), None)

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


def baked_pipelines() -> Path:
    """Where an image keeps its pipelines, in the hub's own layout: beside its other weights."""
    return iopaint_cache().parent / "pipelines"


def _is_whole(folder: Path) -> bool:
    """Files come one by one, each at once and the index first: a download that was cut off looks like a pipeline."""
    index = folder / "model_index.json"
    if not index.is_file():
        return _has_weights(folder)
    parts = json.loads(index.read_text()).items()
    needed = (name for name, kind in parts if isinstance(kind, list) and kind[0] and name not in _NOT_USED)
    return all(_is_whole_part(folder / name) for name in needed)


def _is_whole_part(folder: Path) -> bool:
    """A network with its weights, a scheduler, or a tokenizer."""
    if (folder / "config.json").is_file():
        return _has_weights(folder)
    words = (folder / "tokenizer.json").is_file() or all((folder / f).is_file() for f in ("vocab.json", "merges.txt"))
    return (folder / "scheduler_config.json").is_file() or (words and (folder / "tokenizer_config.json").is_file())


def _has_weights(folder: Path) -> bool:
    """In one file, or in all that an index names."""
    files = (file for file in folder.glob("*") if file.suffix in (".safetensors", ".bin"))
    if any("-of-" not in file.name for file in files):
        return True
    maps = (json.loads(index.read_text())["weight_map"] for index in folder.glob("*.index*.json"))
    return any(all((folder / shard).is_file() for shard in shards.values()) for shards in maps)


def _cached(name: str, model_dir: Path | None) -> Path | None:
    """In the hub's own layout; only what was fetched to the end."""
    from huggingface_hub import try_to_load_from_cache

    for index in _INDEX_FILES:
        found = try_to_load_from_cache(name, index, cache_dir=model_dir)
        if isinstance(found, str) and _is_whole(Path(found).parent):
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
