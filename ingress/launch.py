"""`scripts/serve [CONFIG]`: checks the settings, starts `serve run`, says what happens, ends it cleanly."""

import errno
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

import httpx
import yaml

from ingress.json_lines import as_object
from ingress.settings import GUARD, GUARD_VARIABLE, Settings, WrongSetting, from_environment

_ON_EVERY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts that mean every interface, and how to reach them from here."""
_CONFIG = Path(__file__).parent.parent / "serve_config.yaml"


def main(config: Path = _CONFIG) -> int:
    try:
        settings = from_environment()
    except WrongSetting as error:
        print(error, file=sys.stderr)
        return 2
    if (refusal := _refusal(settings.iopaint_host, settings.iopaint_port)) is not None:
        print(refusal, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="iopaint-") as folder:
        rendered = _rendered(config, settings, Path(folder))
        say = _Voice(as_json=settings.log_format == "json")
        say(f"Starting Ray Serve with the model {settings.iopaint_model} on {settings.iopaint_device} ...")
        command = [str(Path(sys.executable).parent / "serve"), "run", str(rendered)]
        # Before the child is made: in the background of a script SIGINT is ignored, which a child would inherit.
        stop = _StopRequest()
        # Its own session: Ctrl-C reaches this process only, which then ends the whole in order.
        out, errors = (subprocess.PIPE, subprocess.STDOUT) if say.as_json else (None, None)
        child = subprocess.Popen(command, start_new_session=True, env=_environment(), stdout=out, stderr=errors)
        if say.as_json:
            threading.Thread(target=say.relay, args=(child,), daemon=True).start()
        return _supervise(child, settings, stop, say)


class _Voice:
    """Standard output: sentences as they are, or each line an object."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def __call__(self, sentence: str) -> None:
        print(as_object(sentence, "launch") if self.as_json else sentence, flush=True)

    def relay(self, child: subprocess.Popen[bytes]) -> None:
        """Until the last process that writes there has ended."""
        assert child.stdout is not None
        for line in child.stdout:
            if said := as_object(line.decode(errors="replace")):
                print(said, flush=True)


class _StopRequest:
    """Whether SIGTERM or Ctrl-C came, from the moment it is made."""

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True


def _supervise(child: subprocess.Popen[bytes], settings: Settings, stop: _StopRequest, say: _Voice) -> int:
    announced, told = "", False
    while child.poll() is None:
        if stop.came and not told:
            told = True
            say("Stopping ...")
            child.send_signal(signal.SIGINT)
        if announced != "ready" and not told:
            announced = _announce(settings, announced, say)
        time.sleep(0.5)
    return 0 if told else child.returncode


def _announce(settings: Settings, before: str, say: _Voice) -> str:
    """Print news of the start, once each; ``ready`` when it is over."""
    host = _ON_EVERY.get(settings.iopaint_host, settings.iopaint_host)
    base = f"http://{f'[{host}]' if ':' in host else host}:{settings.iopaint_port}"
    try:
        health = httpx.get(f"{base}/api/v1/health", timeout=2.0, trust_env=False)
        state = health.json()
    except (httpx.HTTPError, ValueError):
        return before
    if not isinstance(state, dict) or "status" not in state:
        return before
    if health.status_code == 200:
        for sentence in state.get("degraded", ()):  # with keys on, strangers are not told
            say(f"Note: {sentence}")
        say(f"Ready. API: {base}/api/v1  Documentation: {base}/docs  Health: {base}/api/v1/health")
        return "ready"
    news = f"{state['status']}: {state['message']}"
    if news != before:
        say(news)
    return news


def _rendered(path: Path, settings: Settings, folder: Path) -> Path:
    config = yaml.safe_load(path.read_text())
    config["http_options"] |= {"host": settings.iopaint_host, "port": settings.iopaint_port}
    rendered = folder / path.name
    rendered.write_text(yaml.safe_dump(config))
    return rendered


def close_own_cluster() -> None:
    """For a process that starts Ray itself: it, and all that it starts, are as closed as the child's."""
    os.environ.update(_environment())


def _environment() -> dict[str, str]:
    """For the child: no statistics sent, a cluster of its own that only it can talk to, unless the operator says
    otherwise. Ray's ports run code for whoever reaches them: they listen on the loopback interface only, and ask for a
    token that nobody else has.

    Without ``local`` Ray joins whatever cluster was last started on this machine, even one that is gone by now.
    """
    defaults = {
        "RAY_ADDRESS": "local", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0",
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Ray's name for "a node that others may join"; without it every port of Ray binds 127.0.0.1.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        GUARD_VARIABLE: GUARD,
    }  # fmt: skip
    root = str(_CONFIG.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return defaults | dict(os.environ) | {"PYTHONPATH": path}


def _refusal(host: str, port: int) -> str | None:
    """Why nothing can listen there, in words; None where it can."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Serve's proxies share a port silently (SO_REUSEPORT), so a second service would split the traffic.
        with socket.socket(family, kind) as probe:
            # Or connections that the last service closed a moment ago would count: a restart must work at once.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"Port {port} is in use. Set IOPAINT_PORT to a free one."
        return f"Nothing can listen on {host}, port {port} ({error.strerror}). Set IOPAINT_HOST or IOPAINT_PORT."
    return None


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
