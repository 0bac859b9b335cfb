"""Python's cyclic garbage collector in processes that answer quickly."""

import gc


def spare_what_is_loaded() -> None:
    """To be called once, when everything is imported and made: no later collection looks at it again.

    A full collection over the modules of Ray, pydantic and torch holds a process up for a tenth of a second, and finds
    nothing in them.
    """
    gc.collect()
    gc.freeze()
