"""``scripts/fetch_weights MODEL...``: downloads weights, and loads each model once on the CPU to see that it works."""

import argparse
import logging
import sys
from pathlib import Path

from models.catalog import is_diffusion
from models.errors import TextRemovalError
from models.registry import WITH_WEIGHTS, EngineConfig, load_engine


def _name(text: str) -> str:
    if text not in WITH_WEIGHTS and not is_diffusion(text):
        raise argparse.ArgumentTypeError(f"{text!r} has no weights to fetch")
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/fetch_weights", description=__doc__)
    names = f"{', '.join(WITH_WEIGHTS)}, or owner/name of a Stable Diffusion model"
    parser.add_argument("models", nargs="+", type=_name, metavar="MODEL", help=names)
    parser.add_argument("--into", type=Path, help="the folder; without it IOPaint's cache")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in given.models:
        try:
            engine = load_engine(name, EngineConfig("cpu", str(given.into) if given.into else None))
        except TextRemovalError as error:
            print(f"{name}: {error.message}", file=sys.stderr)
            return 1
        print(f"{name}: ready, sha256 {engine.info.weights_sha256}")
        engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
