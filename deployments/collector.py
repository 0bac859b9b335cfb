"""Python's cyclic garbage collector in processes that answer quickly."""

import gc

_ALLOCATIONS = 10_000
"""Between two collections of what is young (Python's own number is 700); Serve's proxies have the same."""


def spare_what_is_loaded() -> None:
    """To be called once, when everything is imported and made: no later collection looks at it again.

    A full collection over the modules of Ray and pydantic holds a process up for a tenth of a second, and finds nothing
    in them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS)
