import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from ray.serve.schema import ServeDeploySchema

from ingress.builder import build
from ingress.errors import STATUS
from ingress.settings import Settings
from models.errors import TextRemovalError

ROOT = Path(__file__).parents[2]
SOURCES = [p for layer in ("models", "deployments", "ingress") for p in sorted((ROOT / layer).rglob("*.py"))]
# The child process of scripts/serve inherits the environment; nothing is read from it there.
MAY_READ_ENVIRONMENT = {"ingress/settings.py", "ingress/launch.py"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_settings_read_the_environment(path: Path) -> None:
    names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    if str(path.relative_to(ROOT)) not in MAY_READ_ENVIRONMENT:
        assert not names & {"environ", "getenv"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 320
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 60, node.name


@pytest.mark.parametrize("module", ["ingress.deployment", "ingress.builder", "deployments.actor"])
def test_only_model_replicas_load_tensors(module: str) -> None:
    """PyTorch is 0.2 GB of memory and seconds of start in every process that imports it."""
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_every_error_has_a_status() -> None:
    def family(cls: type[TextRemovalError]) -> set[str]:
        return {cls.code}.union(*(family(sub) for sub in cls.__subclasses__()))

    assert family(TextRemovalError) == set(STATUS)


def unknown_keys(value: object, schema: object, where: str) -> list[str]:
    """Keys that Serve would drop in silence, at any depth."""
    models = [m for m in _models(schema) if isinstance(m, type) and issubclass(m, BaseModel)]
    if isinstance(value, list):
        return [key for i, item in enumerate(value) for key in unknown_keys(item, schema, f"{where}[{i}]")]
    if not isinstance(value, dict) or not models:
        return []
    fields = {name: field.annotation for model in models for name, field in model.model_fields.items()}
    found = [f"{where}.{key}" for key in value if key not in fields]
    for key, item in value.items():
        if key in fields:
            found += unknown_keys(item, fields[key], f"{where}.{key}")
    return found


def _models(annotation: object) -> list[object]:
    inner = getattr(annotation, "__args__", None)
    return [m for part in inner for m in _models(part)] if inner else [annotation]


@pytest.mark.parametrize("name", ["serve_config.yaml", "serve_config.gpu.yaml"])
def test_serve_yaml_has_no_key_that_serve_would_drop(name: str) -> None:
    config = yaml.safe_load((ROOT / name).read_text())
    assert unknown_keys(config, ServeDeploySchema, name) == []
    ServeDeploySchema.model_validate(config)
    for application in config["applications"]:
        Settings.model_validate(application["args"])
        built = {"Ingress", "Inpainter", "Detector"}
        assert {d["name"] for d in application["deployments"]} == built
        assert all("ray_actor_options" not in d for d in application["deployments"]), "an override replaces"


def test_the_check_of_keys_can_fail() -> None:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["htp_options"] = {}
    config["applications"][0]["deployments"][0]["autoscaling_config"]["min_replica"] = 1
    assert [key.rsplit(".", 1)[1] for key in unknown_keys(config, ServeDeploySchema, "x")] == [
        "htp_options",
        "min_replica",
    ]


def test_unknown_args_are_refused() -> None:
    with pytest.raises(ValueError, match="iopaint_modle"):
        Settings.model_validate({"iopaint_modle": "lama"})


def test_the_application_builds_for_each_device() -> None:
    for device, gpus in (("cpu", 0), ("cuda", 1)):
        application = build(Settings.model_validate({"iopaint_device": device}))
        inpainter = application._bound_deployment.init_args[0]._bound_deployment
        assert inpainter.ray_actor_options["num_gpus"] == gpus
