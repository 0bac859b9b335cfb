"""A Docker engine for this drill alone: own data, own socket, and for running containers an own network namespace, so
that its bridges and its firewall rules end with it. An engine that is already here is not touched."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any


class Engine:
    """``isolated``: bridges as usual, no way out. Otherwise: the machine's own network, for builds, and no bridges."""

    def __init__(self, folder: Path, *, isolated: bool) -> None:
        self._socket = f"unix://{folder}/docker.sock"
        command = [
            "dockerd", f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/docker.pid",
            f"--host={self._socket}",
        ]  # fmt: skip
        if isolated:
            command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"', *command]
        else:
            command += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
        self._log = (folder / "dockerd.log").open("ab")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, start_new_session=True)
        self._isolated = isolated
        for _ in range(60):
            if self.docker("version", check=False).returncode == 0:
                return
            if self._process.poll() is not None:
                raise RuntimeError(f"dockerd did not start: {(folder / 'dockerd.log').read_text()[-2000:]}")
            time.sleep(0.5)
        raise TimeoutError("dockerd did not start")

    def docker(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run("/usr/bin/docker", *arguments, check=check, **options)

    def run(self, *command: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """On the engine's network. ``input``, ``cwd`` and ``env`` as of ``subprocess.run``."""
        inside = ["nsenter", f"--net=/proc/{self._process.pid}/ns/net", "--"] if self._isolated else []
        environment = dict(os.environ) | {"DOCKER_HOST": self._socket, "DOCKER_BUILDKIT": "1"} | options.pop("env", {})
        done = subprocess.run(
            [*inside, *command], capture_output=True, text=True, env=environment, check=False, **options
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def inspect(self, container: str, template: str) -> Any:
        return json.loads(self.docker("inspect", "--format", f"{{{{json {template}}}}}", container).stdout)

    def close(self) -> None:
        for container in self.docker("ps", "--all", "--quiet").stdout.split():
            self.docker("rm", "--force", "--volumes", container, check=False)
        self._process.terminate()
        self._process.wait(60)
        self._log.close()
