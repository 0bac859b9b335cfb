"""The page anywhere: its code runs, it asks nobody else, behind a prefix. With keys: tests/starts/test_edge.py."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.serve.browser.conftest import Visit
from tests.serve.browser.steps import SAMPLE, drag, with_sample
from tests.support.pictures import encoded, photo
from tests.support.proxy import prefixed
from tests.support.service import ROOT, Service


@pytest.mark.parametrize("as_task", [False, True])
def test_the_code_that_it_shows_runs(visit: Visit, tmp_path: Path, as_task: bool) -> None:
    page = with_sample(visit)
    (tmp_path / "sample.png").write_bytes(encoded(photo(*SAMPLE)))
    drag(page, (50, 55), (400, 115))
    page.get_by_label("Format").select_option("jpeg")
    page.get_by_role("radio", name="As a task" if as_task else "Now", exact=True).check()
    commands = {"curl": ["bash"], "Python": [sys.executable]}
    for name, command in commands.items():
        page.get_by_role("tab", name=name, exact=True).click()
        code = page.get_by_role("tabpanel").inner_text()
        script = tmp_path / "example"
        script.write_text(code)
        (tmp_path / "clean.jpeg").unlink(missing_ok=True)
        run = subprocess.run(
            [*command, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "clients/python/src")},
        )  # fmt: skip
        assert run.returncode == 0, code + run.stderr
        with Image.open(tmp_path / "clean.jpeg") as made:
            assert (made.format, made.size) == ("JPEG", SAMPLE)
    page.get_by_role("tab", name="Python", exact=True).press("ArrowRight")
    javascript = page.get_by_role("tabpanel").inner_text()
    assert ("client.submit" if as_task else "client.removeText") in javascript
    module = tmp_path / "example.mjs"
    module.write_text(javascript.replace('"iopaint-client"', f'"{ROOT}/clients/js/src/index.js"'))
    (tmp_path / "clean.jpeg").unlink()
    run = subprocess.run(["node", str(module)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, javascript + run.stderr
    assert (tmp_path / "clean.jpeg").exists()


def test_nothing_is_asked_of_another_host(visit: Visit) -> None:
    page = with_sample(visit)
    drag(page, (50, 55), (400, 115))
    page.get_by_role("radio", name="As a task").check()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#result")).to_be_visible(timeout=20_000)
    hosts = {urlsplit(url).netloc for url in visit.requests if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(visit.url).netloc}


def test_it_works_behind_a_path_prefix(browser: Browser, service: Service) -> None:
    with prefixed(service.url, "/tools/clean") as proxy:
        context = browser.new_context(viewport={"width": 1100, "height": 1300}, locale="en-US")
        try:
            visit = Visit(context.new_page(), proxy.url)
            page = with_sample(visit)
            drag(page, (50, 55), (400, 115))
            page.get_by_role("button", name="Remove", exact=True).click()
            expect(page.locator("#status")).to_contain_text("Done by cv2")
            expect(page.locator("#code")).to_contain_text("/tools/clean/api/v1/inpaint-regions")
            page.get_by_role("radio", name="As a task").check()
            page.get_by_role("button", name="Remove", exact=True).click()
            expect(page.locator("#tasks tr").first).to_contain_text("completed", timeout=20_000)
            assert all(urlsplit(one).path.startswith("/tools/clean/") for one in visit.requests if one[0] in "hw")
        finally:
            context.close()


def test_a_brushed_mask_as_a_task_by_curl(visit: Visit, tmp_path: Path) -> None:
    """A batch of one, as a form; of a file whose name curl could misread."""
    name = """it's; a "b"\\c,d=@.png"""
    page = with_sample(visit)
    (tmp_path / name).write_bytes(encoded(photo(*SAMPLE)))
    page.locator("#file").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": (tmp_path / name).read_bytes()}
    )
    expect(page.locator("#code")).to_contain_text("it")
    page.get_by_role("radio", name="Brush").check()
    drag(page, (60, 85), (395, 85))
    page.get_by_role("radio", name="As a task").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the mask").click()
    download.value.save_as(tmp_path / "mask.png")
    code = page.get_by_role("tabpanel").inner_text()
    run = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, code + run.stderr
    with Image.open(tmp_path / "clean.png") as made:
        assert made.size == SAMPLE
