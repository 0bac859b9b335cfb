"""What the Python client refuses to send, what the answer to a repeat means, and that its files are whole."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import iopaint_client as sdk
import pytest

from tests.support.network import FAST, client

GONE = httpx.Response(404, json={"detail": "There is no task t.", "error": "task_not_found", "request_id": "r"})


@pytest.mark.parametrize(
    "url", ["http://host:port", "localhost:8081", "ftp://host", "", "http://", "http://[::1", "http://host:99999"]
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    for kind in (sdk.Client, sdk.AsyncClient):
        with pytest.raises(sdk.InvalidArgument, match="base_url"):
            kind(url)


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines", "trailing\r\n", "\x00"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    for kind in (sdk.Client, sdk.AsyncClient):
        with pytest.raises(sdk.InvalidArgument, match="api_key") as raised:
            kind(api_key=key)
        assert key not in str(raised.value)


@pytest.mark.parametrize("wrong", ["../cancel-batch/b", "a/b", "a?b", "a b", ".hidden", "", "x" * 129, "t\n", "é"])
def test_an_id_that_can_be_none_names_no_other_path(wrong: str) -> None:
    one, _ = client(GONE)
    for made in (one.task, one.batch, sdk.AsyncClient().task, sdk.AsyncClient().batch):
        with pytest.raises(sdk.InvalidArgument, match="letters, digits"):
            made(wrong)
    if wrong:  # empty: the client makes one
        with pytest.raises(sdk.InvalidArgument, match="letters, digits"):
            one.submit(b"", task_id=wrong)
        with pytest.raises(sdk.InvalidArgument, match="letters, digits"):
            one.submit_batch([], batch_id=wrong)


def test_ids_as_the_service_gives_them_are_taken() -> None:
    one, _ = client(GONE)
    for given in ("0123abc", "photo-1", "a_b.0", "x" * 128):
        assert one.task(given).id == one.batch(given).id == given


def test_forgetting_whose_answer_was_lost_is_done() -> None:
    one, seen = client(httpx.ReadError("cut"), GONE)
    one.task("t").forget()
    assert len(seen) == 2
    one, _ = client(GONE)
    with pytest.raises(sdk.NotFound):
        one.task("t").forget()


def test_nothing_else_is_done_because_it_is_gone() -> None:
    acts: list[Callable[[sdk.Task], object]] = [sdk.Task.cancel, sdk.Task.status, sdk.Task.stats, sdk.Task.result]
    for act in acts:
        one, _ = client(httpx.ReadError("cut"), GONE)
        with pytest.raises(sdk.NotFound):
            act(one.task("t"))


def test_an_answer_that_cannot_be_decoded_is_not_this_services(tmp_path: Path) -> None:
    packed = {"content-encoding": "gzip"}
    one, _ = client(*(httpx.Response(200, headers=packed, stream=httpx.ByteStream(b"no gzip")) for _ in range(2)))
    with pytest.raises(sdk.UnexpectedAnswer, match="decoded"):
        one.info()
    with pytest.raises(sdk.UnexpectedAnswer, match="decoded"):
        one.batch("b").download(tmp_path / "batch.zip")
    assert list(tmp_path.iterdir()) == []


class _Cut(httpx.SyncByteStream):
    def __iter__(self) -> Any:
        yield b"PK half"
        raise httpx.ReadError("cut")


def test_a_download_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "batch.zip"
    for there in ([], ["batch.zip"]):
        one, _ = client(*(httpx.Response(200, stream=_Cut()) for _ in range(FAST.attempts)))
        with pytest.raises(sdk.ConnectionFailed):
            one.batch("b").download(target)
        assert [path.name for path in tmp_path.iterdir()] == there
        assert not there or target.read_bytes() == b"PK whole"
        target.write_bytes(b"PK whole")
    one, _ = client(httpx.ReadError("cut"), httpx.Response(200, content=b"PK new"))
    assert one.batch("b").download(target).read_bytes() == b"PK new"


PICTURE = sdk.Picture.from_answer(b"picture", {"content-type": "image/png"})


def test_a_full_disk_leaves_the_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(data[:3])
            raise OSError(errno.ENOSPC, "No space left on device")

    original = tmp_path / "photo.png"
    original.write_bytes(b"original")
    monkeypatch.setattr(Path, "open", lambda path, mode: Full(path, mode.replace("b", "")))
    with pytest.raises(OSError, match=r"No space left.*photo\.png"):
        PICTURE.save(original)
    monkeypatch.undo()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"original"]


def test_a_saved_file_is_where_and_what_the_one_before_was(tmp_path: Path) -> None:
    target, link = tmp_path / "real.png", tmp_path / "link.png"
    target.write_bytes(b"before")
    target.chmod(0o600)
    link.symlink_to(target.name)
    PICTURE.save(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"picture"
    assert target.stat().st_mode & 0o777 == 0o600
    PICTURE.save(tmp_path / "new.png")
    plain = tmp_path / "plain.png"
    plain.write_bytes(b"")
    assert (tmp_path / "new.png").stat().st_mode == plain.stat().st_mode
    with pytest.raises(FileNotFoundError, match=r"nowhere/a\.png"):
        PICTURE.save(tmp_path / "nowhere" / "a.png")


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    PICTURE.save(pipe)
    assert os.read(reader, 100) == b"picture"
    os.close(reader)
    assert pipe.is_fifo()
