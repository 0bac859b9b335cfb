"""The image's files and compose.yaml, against what the original's users have. What needs a build is in
``scripts/rehearse_image``."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KEPT = [line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
ORIGINAL_HEALTHCHECK = {
    "test": ["CMD", "curl", "-f", "http://localhost:8081/api/v1/health"],
    "interval": "30s",
    "timeout": "10s",
    "retries": 3,
    "start_period": "60s",
}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


def test_the_context_holds_what_the_service_needs() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert all(line == "*" or line.startswith(("#", "!", "**/")) for line in lines)
    assert all((ROOT / path).exists() for path in KEPT)
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    assert set(packages) <= set(KEPT)
    # What the service hands out as files, and what its command line imports.
    assert {"playground", "clients/js/src", "clients/python/src"} <= set(KEPT)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for source in (path for line in copied for path in shlex.split(line) if path != "."):
        assert source in KEPT, source


def test_the_image_is_as_the_originals_users_expect() -> None:
    assert "EXPOSE 8081" in DOCKERFILE
    assert "MODEL_DIR=/root/.cache/huggingface" in DOCKERFILE
    stages = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert stages[-1] == "cpu", "a plain `docker build` makes the last"
    assert "cuda" in stages
    for stage in ("cuda", "cpu"):
        body = DOCKERFILE.split(f" AS {stage}\n", 1)[1].split("\nFROM ", 1)[0]
        assert re.findall(r"^USER (.+)$", body, re.MULTILINE)[-1] == "1000:1000", f"{stage} ends as the ordinary user"
        assert "scripts/fetch_weights --bake\n" in body


def test_compose_has_the_originals_shape() -> None:
    config = compose()
    service = config["services"]["iopaint-service"]
    assert service["container_name"] == "iopaint-service"
    assert service["restart"] == "unless-stopped"
    assert service["ports"] == ["8081:8081"]
    assert service["volumes"] == ["iopaint_cache:/root/.cache/huggingface"]
    assert service["networks"] == ["app-network"]
    assert service["healthcheck"] == ORIGINAL_HEALTHCHECK
    assert service["environment"]["HD_STRATEGY"] == "Auto"
    assert config["networks"] == {"app-network": {"driver": "bridge"}}
    assert "profiles" not in service
    # What Ray writes besides the volume goes to places that a read-only container has.
    assert service["read_only"]
    assert service["tmpfs"] == ["/tmp:mode=1777"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    # The other one of ours is the same, but for what is written anew there.
    gpu = config["services"]["iopaint-gpu"]
    for name in ("read_only", "tmpfs", "cap_drop", "security_opt"):
        assert gpu[name] == service[name]


def test_the_remedy_for_a_foreign_volume_fits_the_file() -> None:
    """Its volume has the project's name before its own, and root without rights could change no owner."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    (options, done) = re.findall(r"^docker compose run (.+) iopaint-service (.+)$", page, re.MULTILINE)[0]
    assert {"-u 0", "--cap-add CHOWN", "--cap-add DAC_OVERRIDE"} <= set(re.findall(r"--?\S+ [^-\s]+", options))
    (volume,) = compose()["services"]["iopaint-service"]["volumes"]
    assert done == f"chown -R 1000:1000 {volume.split(':')[1]}"


def test_the_originals_files_are_kept_as_they_were() -> None:
    """They are what ``scripts/rehearse_image`` runs."""
    folder = ROOT / "tests" / "support" / "compose"
    original = yaml.safe_load((folder / "original-compose.yml").read_text())
    assert original["services"]["iopaint-service"]["healthcheck"] == ORIGINAL_HEALTHCHECK
    production = yaml.safe_load((folder / "original-production.yml").read_text())
    assert production["services"]["iopaint-service"]["deploy"]["replicas"] == 2


def test_the_rest_is_asked_for() -> None:
    services = compose()["services"]
    assert {name: service["profiles"] for name, service in services.items() if "profiles" in service} == {
        "iopaint-gpu": ["gpu"],
        "prometheus": ["monitoring"],
        "grafana": ["monitoring"],
    }
    for name in ("prometheus", "grafana"):
        for volume in services[name]["volumes"]:
            source = volume.split(":", 1)[0]
            assert not source.startswith(".") or (ROOT / source).exists()
