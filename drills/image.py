"""``scripts/rehearse_image``: builds and runs the image with a real Docker engine, without any registry of images.

The base image is a Debian made by debootstrap under the name that the Dockerfile asks for. The containers then live as
the users of the original service start them: its ``docker run`` line, its compose file, its production file with two
copies, and ``compose.yaml`` with Prometheus (Debian's, under the name that the file asks for). Needs root and Debian's
packages debootstrap, docker.io, docker-compose, iproute2, iptables and prometheus.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from drills.docker_engine import Engine
from drills.ending import end_on_sigterm
from tests.support.lama import save as save_lama_file

ROOT = Path(__file__).parents[1]
_BASE = "python:3.11-slim-bookworm"
_IMAGE = "iopaint-service"
_BAKED = f"{_IMAGE}:baked"
_PICTURE = str(ROOT / "docs" / "images" / "before.jpg")
_REGIONS = 'regions=[{"x": 65, "y": 72, "width": 442, "height": 57}]'
console = Console(highlight=False, width=140)


def base_image(engine: Engine, folder: Path) -> None:
    """What a build needs from this machine, name servers and certificates, is copied into the clean root."""
    if engine.docker("image", "inspect", _BASE, check=False).returncode == 0:
        return
    root = folder / "root"
    _run("debootstrap", "--variant=minbase", "--include=python3.11,ca-certificates", "bookworm", str(root))
    for path in ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"):
        shutil.copyfile(path, f"{root}{path}")
    # Afterwards, because debootstrap configures packages in an order of its own.
    _run("chroot", str(root), "sh", "-ec",
         "apt-get update && apt-get install --yes --no-install-recommends python3.11-venv")  # fmt: skip
    (root / "usr/local/bin/python3.11").symlink_to("/usr/bin/python3.11")
    certificates = "/etc/ssl/certs/ca-certificates.crt"
    change = (
        "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "
        f"SSL_CERT_FILE={certificates} PIP_CERT={certificates}"
    )
    _import(engine, root, _BASE, change)
    shutil.rmtree(root)


def prometheus_image(engine: Engine, folder: Path, name: str) -> None:
    root = folder / "prometheus-root"
    (root / "etc/prometheus").mkdir(parents=True, exist_ok=True)
    (root / "prometheus").mkdir(exist_ok=True)
    binary = shutil.which("prometheus")
    assert binary, "Debian's package prometheus is needed"
    for path in [binary, *_libraries(binary)]:
        (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path.lstrip("/"))
    command = [binary, "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
    _import(engine, root, name, f"ENTRYPOINT {json.dumps(command)}")
    shutil.rmtree(root)


def _libraries(binary: str) -> list[str]:
    told = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    return [word for word in told.split() if word.startswith("/")]


def _import(engine: Engine, root: Path, name: str, change: str) -> None:
    archive = root.with_suffix(".tar")
    _run("tar", "-C", str(root), "-cf", str(archive), ".")
    engine.docker("import", "--change", change, str(archive), name)
    archive.unlink()


@contextmanager
def served(wheels: Path | None, folder: Path, *, weights: bool) -> Iterator[str]:
    """The address on loopback of what cannot be fetched from here: an index ``torch`` of the wheels, weights."""
    index = folder / "index" / "torch"
    index.mkdir(parents=True, exist_ok=True)
    for wheel in wheels.glob("torch-*.whl") if wheels else ():
        (index / wheel.name).unlink(missing_ok=True)
        (index / wheel.name).symlink_to(wheel)
    if weights:  # drawn by lot, in the published file's form and under its name
        save_lama_file(index.parent / "big-lama.pt")
    server = ThreadingHTTPServer(("127.0.0.1", 18999), partial(_Quiet, directory=str(index.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield "http://127.0.0.1:18999"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def build(folder: Path, wheels: Path | None, target: str, torch: str, *, bake: bool = False) -> None:
    engine = Engine(folder, isolated=False)
    try:
        base_image(engine, folder)
        name = _BAKED if bake else _IMAGE if target == "cpu" else f"{_IMAGE}:{target}"
        with served(wheels, folder, weights=bake) as url:
            torch = torch or (url if wheels else "")
            arguments = [f"--build-arg=TORCH_INDEX={torch}"] if torch else []
            if bake:
                sources = f"LAMA_MODEL_URL={url}/big-lama.pt LAMA_MODEL_MD5="
                arguments += ["--build-arg=BAKE_MODELS=lama", f"--build-arg=BAKE_SETTINGS={sources}"]
            started = time.monotonic()
            engine.docker(
                "build",
                "--network=host",
                "--progress=plain",
                f"--target={target}",
                f"--tag={name}",
                *arguments,
                str(ROOT),
            )
        size = int(engine.inspect(name, ".Size")) / 1e9
        base = int(engine.inspect(_BASE, ".Size")) / 1e9
        console.print(
            f"built {name} in {time.monotonic() - started:.0f} s: {size:.2f} GB, of these the base {base:.2f}"
        )
    finally:
        engine.close()


def wait_healthy(engine: Engine, container: str, patience_s: float = 240) -> None:
    """Until the engine itself says so, from the image's HEALTHCHECK or the compose file's."""
    started = time.monotonic()
    while (state := engine.inspect(container, ".State.Health.Status")) != "healthy":
        if time.monotonic() - started > patience_s or engine.inspect(container, ".State.Status") != "running":
            log = engine.docker("logs", container, check=False)
            raise TimeoutError(f"{container} is {state}: {log.stdout[-3000:]}{log.stderr[-2000:]}")
        time.sleep(1)
    console.print(f"  {container}: healthy after {time.monotonic() - started:.0f} s")


def remove_text(engine: Engine, url: str) -> None:
    done = engine.run("curl", "-fsS", "-o", os.devnull, "-w", "%{http_code} %{content_type} %header{x-model}",
                      f"{url}/api/v1/inpaint-regions", "-F", f"image=@{_PICTURE}", "-F", _REGIONS)  # fmt: skip
    console.print(f"  POST {url}/api/v1/inpaint-regions: {done.stdout}")


def stop(engine: Engine, container: str, patience_s: int = 130) -> None:
    started = time.monotonic()
    engine.docker("stop", "--time", str(patience_s), container)
    code = engine.inspect(container, ".State.ExitCode")
    console.print(f"  docker stop: status {code} after {time.monotonic() - started:.0f} s")
    assert code == 0, code


def look_inside(engine: Engine, container: str) -> None:
    inside = partial(engine.docker, "exec", container)
    console.print(f"  user: {inside('id', '-u').stdout.strip()}, "
                  f"/dev/shm: {inside('df', '--output=size', '-h', '/dev/shm').stdout.split()[-1]}, "
                  f"{inside('curl', '--version').stdout.split(' (')[0]}")  # fmt: skip
    log = engine.docker("logs", container)
    lines = [json.loads(line) for line in (log.stdout + log.stderr).splitlines()]
    about = [line for line in lines if "POST /api/v1/inpaint-regions" in line["message"]]
    console.print(f"  docker logs: {len(lines)} lines, each an object; of the request: {about[0]}")


def the_run_line(engine: Engine, folder: Path) -> None:
    engine.docker("run", "-d", "--name", "iopaint-service", "-p", "8081:8081", "-e", "IOPAINT_MODEL=lama",
                  "-e", "IOPAINT_DEVICE=cpu", _IMAGE)  # fmt: skip
    wait_healthy(engine, "iopaint-service")
    remove_text(engine, "http://127.0.0.1:8081")
    look_inside(engine, "iopaint-service")
    stop(engine, "iopaint-service")
    engine.docker("rm", "iopaint-service")


def the_compose_file(engine: Engine, folder: Path) -> None:
    """Its ``build:`` is the image that was built before; Docker's own volume keeps a task over ``down`` and ``up``."""
    up = compose(engine, folder, "original-compose.yml")
    up("up", "-d", "--no-build")
    wait_healthy(engine, "iopaint-service")
    remove_text(engine, "http://127.0.0.1:8081")
    url = "http://127.0.0.1:8081/api/v1"
    task = submit(engine, url)
    up("down")
    up("up", "-d", "--no-build")
    wait_healthy(engine, "iopaint-service")
    ended(engine, url, task)
    up("down", "--volumes")


def the_production_file(engine: Engine, folder: Path) -> None:
    """Two copies on one volume: a task of the one is known to the other."""
    up = compose(engine, folder, "original-production.yml")
    # Docker refuses a limit above the machine's CPUs; all else is the file's.
    cpus = str(min(4, os.cpu_count() or 1))
    limit = {"services": {"iopaint-service": {"deploy": {"resources": {"limits": {"cpus": cpus}}}}}}
    (folder / "original-production" / "docker-compose.override.yml").write_text(
        yaml.safe_dump({"version": "3.8"} | limit)
    )
    up("up", "-d", "--no-build")
    copies = up("ps", "-q").stdout.split()
    assert len(copies) == 2, copies
    for copy in copies:
        wait_healthy(engine, copy)
    first, second = (f"http://{address(engine, copy)}:8081/api/v1" for copy in copies)
    ended(engine, second, submit(engine, first))
    ended(engine, first, submit(engine, second))
    up("down", "--volumes")


def the_baked_image(engine: Engine, folder: Path) -> None:
    """With an empty volume and no way out, the model that was asked for answers."""
    engine.docker("run", "-d", "--name", "baked", "-p", "8081:8081", "-v", "empty:/root/.cache/huggingface", _BAKED)
    wait_healthy(engine, "baked")
    wait(lambda: _json(engine, "http://127.0.0.1:8081/api/v1/health")["degraded"] == [], "configured model")
    remove_text(engine, "http://127.0.0.1:8081")
    model = _json(engine, "http://127.0.0.1:8081/api/v1/model")
    console.print(f"  /model: {model['name']}, {model['status']}")
    assert (model["name"], model["status"]) == ("lama", "ready"), model
    stop(engine, "baked")
    engine.docker("rm", "baked")


def our_compose_file(engine: Engine, folder: Path) -> None:
    """Read-only, without capabilities, and watched by Prometheus, which finds the containers by their name."""
    config = yaml.safe_load((ROOT / "compose.yaml").read_text())
    prometheus_image(engine, folder, config["services"]["prometheus"]["image"])
    up = partial(engine.run, "docker-compose", cwd=ROOT, env={"COMPOSE_PROJECT_NAME": "rehearsal"})
    up("up", "-d", "--no-build", "iopaint-service", "prometheus")
    wait_healthy(engine, "iopaint-service")
    remove_text(engine, "http://127.0.0.1:8081")
    refused = engine.docker("exec", "iopaint-service", "touch", "/app/x", check=False)
    console.print(f"  writing to the image: {refused.stderr.strip()}")
    assert refused.returncode != 0
    prometheus = "http://127.0.0.1:9090/api/v1"

    def targets() -> set[tuple[str, str]]:
        found = _json(engine, f"{prometheus}/targets")["data"]["activeTargets"]
        return {(target["scrapeUrl"], target["health"]) for target in found}

    wait(lambda: any(health == "up" for _, health in targets()), "target that is up")
    console.print(f"  Prometheus: {targets()}")
    rules = _json(engine, f"{prometheus}/rules")["data"]["groups"][0]["rules"]
    console.print(f"  rules: {', '.join(rule['name'] + ' ' + rule['health'] for rule in rules)}")
    stop(engine, "iopaint-service")
    up("down", "--volumes")


def compose(engine: Engine, folder: Path, name: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The file as its users have it, in a folder of its own beside an empty ``iopaint-service``."""
    where = folder / name.removesuffix(".yml")
    (where / "iopaint-service").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "tests" / "support" / "compose" / name, where / "docker-compose.yml")
    engine.docker("tag", _IMAGE, f"{where.name}_iopaint-service")
    return partial(engine.run, "docker-compose", cwd=where)


def submit(engine: Engine, url: str) -> str:
    answer = _json(engine, f"{url}/inpaint-regions-async", "-F", f"image=@{_PICTURE}", "-F", _REGIONS)
    return str(answer["task_id"])


def ended(engine: Engine, url: str, task: str) -> None:
    wait(lambda: _json(engine, f"{url}/task-status/{task}")["status"] == "completed", f"end of {task}")
    size = len(engine.run("curl", "-fsS", f"{url}/task-result/{task}", "--output", "-", errors="replace").stdout)
    console.print(f"  {url}/task-result/{task}: {size} characters")


def address(engine: Engine, container: str) -> str:
    (network,) = engine.inspect(container, ".NetworkSettings.Networks").values()
    return str(network["IPAddress"])


def wait(condition: Callable[[], bool], what: str, patience_s: float = 120) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"no {what}")
        time.sleep(1)


def _json(engine: Engine, url: str, *more: str) -> Any:
    return json.loads(engine.run("curl", "-fsS", "--retry", "10", "--retry-connrefused", url, *more).stdout)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


SCENES: dict[str, Callable[[Engine, Path], None]] = {
    "run": the_run_line, "compose": the_compose_file, "production": the_production_file, "ours": our_compose_file,
    "baked": the_baked_image,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="scripts/rehearse_image", description=__doc__)
    parser.add_argument("--folder", type=Path, help="keeps the engine's data between two runs; without it a new one")
    parser.add_argument("--torch-wheels", type=Path, help="folder with a build of torch; without it torch's own index")
    parser.add_argument("--torch-index", default="", help="index of torch builds")
    parser.add_argument("--target", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--scenes", default=",".join(SCENES), help=f"of {', '.join(SCENES)}; or none")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as made:
        folder = given.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        build(folder, given.torch_wheels, given.target, given.torch_index)
        scenes = [] if given.scenes == "none" else given.scenes.split(",")
        if "baked" in scenes:
            build(folder, given.torch_wheels, given.target, given.torch_index, bake=True)
        engine = Engine(folder, isolated=True)
        try:
            for scene in scenes:
                console.print(f"{scene}:")
                SCENES[scene](engine, folder)
        finally:
            engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
