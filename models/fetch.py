"""``scripts/fetch_weights MODEL...``: downloads weights, and loads each model once on the CPU to see that it works."""

import argparse
import logging
import sys
from pathlib import Path

from models.errors import TextRemovalError
from models.registry import WITH_WEIGHTS, EngineConfig, load_engine


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/fetch_weights", description=__doc__)
    parser.add_argument("models", nargs="+", choices=WITH_WEIGHTS, metavar="MODEL", help=", ".join(WITH_WEIGHTS))
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
