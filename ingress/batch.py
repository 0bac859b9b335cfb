"""``scripts/batch``: the work is ``ingress.offline``'s. Ray reads its environment when it is imported, so what closes a
cluster of its own towards strangers has to be there before."""

import argparse
import sys

from ingress import launch


def main() -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--address", default="local")
    if parser.parse_known_args()[0].address == "local":
        launch.close_own_cluster()
    from ingress import offline

    return offline.main()


if __name__ == "__main__":
    sys.exit(main())
