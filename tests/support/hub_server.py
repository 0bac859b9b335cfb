"""Repositories of models over HTTP as Hugging Face's hub has them: what ``HF_ENDPOINT`` may point to."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Hub:
    """``root/owner/name`` are repositories; other files below ``root`` are sent as they are."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = ""
        self.sent: Counter[str] = Counter()
        """Files sent whole, by their path in the repository."""
        self.failing: set[str] = set()
        """Paths that get one 500 each."""

    def siblings(self, repository: str) -> list[dict[str, str]]:
        folder = self.root / repository
        return [{"rfilename": str(path.relative_to(folder))} for path in folder.rglob("*") if path.is_file()]


@contextmanager
def serving(root: Path) -> Iterator[Hub]:
    hub = Hub(root)

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _answer(self, with_body: bool) -> None:
        path = self.path.split("?")[0].strip("/")
        if path.startswith("api/models/"):
            owner, name = path.split("/")[2:4]
            about = {
                "id": f"{owner}/{name}", "sha": "0" * 40, "private": False, "downloads": 0, "likes": 0, "tags": [],
                "siblings": self.hub.siblings(f"{owner}/{name}"),
            }  # fmt: skip
            self._send(200, json.dumps(about).encode(), True)
            return
        repository, _, file = path.partition("/resolve/")
        file = file.partition("/")[2]
        place = self.hub.root / repository / file
        if not place.is_file():
            self._send(404, b"", False, {"X-Error-Code": "EntryNotFound"})
        elif with_body and file in self.hub.failing:
            self.hub.failing.remove(file)
            self._send(500, b"", True)
        else:
            self.hub.sent[file or path] += with_body
            body = place.read_bytes()
            self._send(200, body, with_body, {"ETag": f'"{hashlib.sha1(body).hexdigest()}"'})

    def _send(self, status: int, body: bytes, with_body: bool, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body)), "X-Repo-Commit": "0" * 40} | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)
