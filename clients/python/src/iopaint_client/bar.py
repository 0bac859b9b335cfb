"""An optional progress bar on the terminal."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from iopaint_client.states import Update


class Bar(Protocol):
    def __call__(self, update: Update) -> None: ...


def progress_bar(on: bool, title: str) -> AbstractContextManager[Bar]:
    """Nothing when off. Raises ``ImportError`` when on and tqdm is not installed (the extra ``progress``)."""
    return _Tqdm(title) if on else nullcontext(_silent)


def _silent(update: Update) -> None:
    pass


class _Tqdm(AbstractContextManager[Bar]):
    def __init__(self, title: str) -> None:
        from tqdm import tqdm

        form = "{desc} {percentage:3.0f}% |{bar}| {elapsed} {postfix}"
        self._bar = tqdm(total=100, desc=title, bar_format=form)

    def __enter__(self) -> Bar:
        return self._show

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def _show(self, update: Update) -> None:
        self._bar.set_postfix_str(update.stage or update.status, refresh=False)
        self._bar.update(update.progress - self._bar.n)
