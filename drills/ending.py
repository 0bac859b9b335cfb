"""SIGTERM, as from ``timeout`` or a supervisor, ends a drill like Ctrl-C does: with what it started."""

import signal
import sys


def end_on_sigterm() -> None:
    """Called first in each drill. Without it a service that a drill has started would go on without the drill."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
