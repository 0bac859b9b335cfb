"""``scripts/fetch_weights MODEL...``: downloads weights, and loads each model once on the CPU to see that it works."""

import argparse
import logging
import sys
from pathlib import Path

from ingress.settings import weights_sources
from models.catalog import is_diffusion
from models.errors import TextRemovalError
from models.hub import baked_pipelines
from models.registry import AUTO, AUTO_NETWORK, WITH_WEIGHTS, EngineConfig, load_engine
from models.weights import iopaint_cache


def main(arguments: list[str] | None = None) -> int:
    """0: all are there and work; else what is wrong with the first that does not was said on standard error."""
    given = _parsed(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in given.models:
        try:
            engine = load_engine(name, _config(_folder(name, given)))
        except TextRemovalError as error:
            print(f"{name}: {error.message}", file=sys.stderr)
            return 1
        print("\n  ".join((f"{name}: ready, sha256 {engine.info.weights_sha256}", *engine.info.notes)))
        engine.close()
    if given.bake:
        _hand_over(iopaint_cache(), baked_pipelines())
    return 0


def _config(folder: Path | None) -> EngineConfig:
    return EngineConfig("cpu", str(folder) if folder else None, sources=weights_sources())


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fetch_weights", description=__doc__)
    names = f"{', '.join(WITH_WEIGHTS)}, {AUTO} ({AUTO_NETWORK}'s), or owner/name of a Stable Diffusion model"
    parser.add_argument("models", nargs="+", type=_name, metavar="MODEL", help=names)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--into", type=Path, help="the folder; without it IOPaint's and Hugging Face's caches")
    where.add_argument(
        "--bake", action="store_true", help="for images: below TORCH_HOME, which no volume hides, and readable for all"
    )
    return parser.parse_args(arguments)


def _name(text: str) -> str:
    if text == AUTO:
        return AUTO_NETWORK
    if text not in WITH_WEIGHTS and not is_diffusion(text):
        raise argparse.ArgumentTypeError(f"{text!r} has no weights to fetch")
    return text


def _folder(name: str, given: argparse.Namespace) -> Path | None:
    if given.bake:
        return baked_pipelines() if is_diffusion(name) else iopaint_cache()
    into: Path | None = given.into
    return into


def _hand_over(*folders: Path) -> None:
    """An image's own user reads what root has fetched, and finds no locks that it could not take."""
    for folder in folders:
        if not folder.exists():  # pipelines, or the others, were not wanted
            continue
        for path in (folder, *folder.rglob("*")):
            if path.suffix == ".lock":
                path.unlink()
            elif not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


if __name__ == "__main__":
    sys.exit(main())
