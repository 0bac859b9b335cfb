"""``scripts/batch`` on a cluster: results, a bad picture, a run that was killed and is repeated, S3."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import numpy as np
import obstore
import pytest
from obstore.store import ObjectStore as Archive
from obstore.store import from_url

from tests.support.nodes import Nodes
from tests.support.pictures import decoded, encoded, photo, wire, with_text
from tests.support.s3 import s3_server
from tests.support.service import ROOT, Service, neutral
from tests.support.sockets import is_loopback, listening

PIXELS, REGION = with_text(photo(320, 240))
_MANY = 16


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with s3_server() as environment:  # of the nodes, which is where the pictures are read
        made = Nodes(tmp_path_factory.mktemp("ray"), environment | {"IOPAINT_FAKE_UNIT_S": "0.3"}, cpus=2)
        try:
            yield made
        finally:
            made.close()


def command(nodes: Nodes, source: str, target: str, regions: Path, model: str = "cv2") -> list[str]:
    return [str(ROOT / "scripts" / "batch"), source, target, str(regions), "--model", model, "--address", nodes.address]


def batch(nodes: Nodes, source: str, target: str, regions: Path, model: str = "cv2") -> tuple[int, str]:
    done = subprocess.run(
        command(nodes, source, target, regions, model), capture_output=True, text=True, timeout=250, check=False,
        env=nodes.environment,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def bucket(nodes: Nodes) -> Iterator[Archive]:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in nodes.environment.items():
            if name.startswith("AWS_"):
                patched.setenv(name, value)
        yield from_url("s3://archive")


def read(bucket: Archive, name: str) -> bytes:
    return bytes(obstore.get(bucket, f"out/{name}").bytes())


def test_a_folder_to_s3_and_again(nodes: Nodes, bucket: Archive, tmp_path: Path) -> None:
    source, target = tmp_path / "in", "s3://archive/out"
    (source / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c.png"):
        (source / name).write_bytes(encoded(PIXELS))
    (source / "broken.png").write_bytes(b"\x89PNG and nothing more")
    (source / "notes.txt").write_text("not an image")
    regions = tmp_path / "regions.json"
    regions.write_text(json.dumps({"*": [wire(REGION)], "b.png": []}))
    status, said = batch(nodes, str(source), target, regions)
    assert status == 1, said
    assert "broken.png: " in said
    assert "2 done, 1 failed, 0 done before" in said
    report = json.loads(read(bucket, "report.json"))
    assert (report["done"], report["failed"], report["without_regions"]) == (2, 1, 1)
    assert {image["name"] for image in report["images"]} == {"a.png", "broken.png", "sub/c.png"}
    out = decoded(read(bucket, "sub/c.png.png"))
    assert not np.array_equal(out, PIXELS)
    assert np.array_equal(out[:40], PIXELS[:40])

    (source / "broken.png").write_bytes(encoded(PIXELS))
    obstore.put(bucket, "out/a.png.png", b"kept")
    status, said = batch(nodes, str(source), target, regions)
    assert (status, "1 done, 0 failed, 2 done before" in said) == (0, True), said
    assert read(bucket, "a.png.png") == b"kept", "what is there is not done again"


def test_a_run_from_s3_that_is_killed_is_completed_by_repeating_it(
    nodes: Nodes, bucket: Archive, tmp_path: Path
) -> None:
    source, target, regions = "s3://archive/in", tmp_path / "out", tmp_path / "regions.json"
    for number in range(_MANY):
        obstore.put(bucket, f"in/{number:02}.png", encoded(PIXELS))
    regions.write_text(json.dumps({"*": [wire(REGION)]}))
    run = subprocess.Popen(
        command(nodes, source, str(target), regions, "fake"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=nodes.environment | {"FORCE_COLOR": "1"},  # as on a terminal
    )  # fmt: skip
    end = time.monotonic() + 200
    while len(done := list(target.glob("*.png"))) < 2:
        assert time.monotonic() < end, "no result"
        time.sleep(0.05)
    run.kill()
    said = run.communicate()[0].decode()
    assert f"/{_MANY}" in said, f"no bar: {said}"
    before = {path.name: path.stat().st_mtime_ns for path in done}
    status, told = batch(nodes, source, str(target), regions, "fake")
    assert status == 0, told
    assert len(list(target.glob("*.png"))) == _MANY
    assert {name: (target / name).stat().st_mtime_ns for name in before} == before, "what was there is kept"
    report = json.loads((target / "report.json").read_text())
    assert report["done"] + report["done_before"] == _MANY
    assert 2 <= report["done_before"] < _MANY


def at_work(arguments: list[object], log: Path) -> Service:
    """``scripts/batch`` on a cluster of its own, with a worker. Where the machine is busy, Ray gives up a start."""
    end = time.monotonic() + 250
    while time.monotonic() < end:
        with log.open("wb") as out:
            run = subprocess.Popen(
                [str(part) for part in (ROOT / "scripts" / "batch", *arguments)], stdout=out, stderr=subprocess.STDOUT,
                env=neutral() | {"IOPAINT_FAKE_UNIT_S": "60"}, start_new_session=True,
            )  # fmt: skip
        made = Service("", run, log)
        while run.poll() is None and time.monotonic() < end:
            if made.named("ray::MapWorker"):  # Ray Data's, with the engine
                return made
            time.sleep(0.2)
        made.kill_node()
    raise AssertionError(log.read_text())


def test_a_cluster_of_its_own_is_closed(tmp_path: Path) -> None:
    """Ray's ports run code for whoever reaches them: all are on loopback, and ask for a token."""
    source, regions = tmp_path / "in", tmp_path / "regions.json"
    source.mkdir()
    (source / "a.png").write_bytes(encoded(PIXELS))
    regions.write_text(json.dumps({"*": [wire(REGION)]}))
    made = at_work([source, tmp_path / "out", regions, "--model", "fake"], tmp_path / "batch.log")
    try:
        sockets = listening(made.descendants())
        assert len(sockets) > 5
        assert [at for at in sockets if not is_loopback(at[0])] == []
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in made.descendants()]
        (port,) = {int(m[1]) for line in commands if (m := re.search(rb"--gcs-address=127\.0\.0\.1:(\d+)", line))}
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetAllNodeInfo")(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    finally:
        made.kill_node()
