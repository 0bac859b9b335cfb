"""The Chromium that the system has (``scripts/setup_browser``), driven by Playwright."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.support.service import ROOT

_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    found = subprocess.run([ROOT / "scripts" / "setup_browser"], stdout=subprocess.PIPE, text=True, check=True)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=found.stdout.strip(), args=_ARGUMENTS)
        yield made
        made.close()
