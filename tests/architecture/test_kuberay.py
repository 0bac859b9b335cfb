"""The Kubernetes manifests: rendered by kustomize, checked against the schemas of Kubernetes, KubeRay and Serve."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from ingress.settings import Settings
from models.memory import JOB_BYTES_PER_PX
from tests.architecture.test_structure import unknown_keys

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kuberay"
SCHEMAS = Path(__file__).parent / "schemas"
MODEL_DIR = re.findall(r"MODEL_DIR=(\S+)", (ROOT / "Dockerfile").read_text())[0]
OVERLAYS = ["cpu", "gpu"]
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which renders, is not installed")
Manifest = dict[str, Any]


def schema(name: str) -> Any:
    return json.loads(gzip.decompress((SCHEMAS / name).read_bytes()))


def rendered(overlay: str, folder: Path = FOLDER) -> list[Manifest]:
    command = ["kubectl", "kustomize", str(folder / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(manifests: list[Manifest], kind: str, name: str = "iopaint") -> Manifest:
    (found,) = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name]
    return found


def settings_of(manifests: list[Manifest]) -> Settings:
    """What the ConfigMap says, but for what is not ours."""
    (found,) = [m for m in manifests if m["kind"] == "ConfigMap"]
    ours = {name.lower(): value for name, value in found["data"].items() if not name.startswith("AWS_")}
    return Settings.model_validate(ours)


def deployment_of(manifests: list[Manifest], name: str) -> dict[str, Any]:
    config = yaml.safe_load(of_kind(manifests, "RayService")["spec"]["serveConfigV2"])
    (found,) = [d for d in config["applications"][0]["deployments"] if d["name"] == name]
    return dict(found)


def bytes_of(quantity: str) -> int:
    assert quantity.endswith("Gi")
    return int(quantity.removesuffix("Gi")) * 2**30


def strict(schema: Any) -> Any:
    """The schema with unknown keys refused, as the API server reports them; it would drop them otherwise."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if isinstance(made.get("properties"), dict) and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def faults(manifest: Manifest) -> list[str]:
    """What the API server would refuse, or drop."""
    if manifest["kind"] == "RayService":
        made = strict(schema("kuberay-1.7.0-rayservice.json.gz"))
        made["properties"]["metadata"] = {"type": "object"}
    else:
        known = schema("kubernetes-1.34.json.gz")
        made = known["kinds"][manifest["kind"]] | {"definitions": known["definitions"]}
    validator = jsonschema.Draft202012Validator(made)
    return [f"{error.json_path}: {error.message}"[:300] for error in validator.iter_errors(manifest)]


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_schemas_take_every_manifest(overlay: str) -> None:
    manifests = rendered(overlay)
    assert {m["kind"]: faults(m) for m in manifests if faults(m)} == {}
    # The check itself can fail.
    service = of_kind(manifests, "RayService")
    service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["minReplica"] = 1
    del service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]
    assert len(faults(service)) == 2
    policy = of_kind(manifests, "NetworkPolicy")
    policy["spec"]["ingres"] = []
    assert len(faults(policy)) == 1


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_serve_takes_the_application(overlay: str) -> None:
    manifests = rendered(overlay)
    config = yaml.safe_load(of_kind(manifests, "RayService")["spec"]["serveConfigV2"])
    assert unknown_keys(config, ServeDeploySchema, overlay) == []
    ServeDeploySchema.model_validate(config)
    settings = settings_of(manifests)
    assert settings.iopaint_device == ("cuda" if overlay == "gpu" else "cpu")
    assert settings.task_archive_url.startswith("s3://")


def test_the_application_is_the_one_of_serve_config() -> None:
    """But for the port and the numbers of replicas."""
    manifest = yaml.safe_load((FOLDER / "base" / "rayservice.yaml").read_text())
    theirs, ours = (
        yaml.safe_load(manifest["spec"]["serveConfigV2"]),
        yaml.safe_load((ROOT / "serve_config.yaml").read_text()),
    )
    for config in (theirs, ours):
        config["http_options"].pop("port")
        for deployment in config["applications"][0]["deployments"]:
            for bound in ("min_replicas", "max_replicas"):
                deployment["autoscaling_config"].pop(bound)
            deployment.pop("max_replicas_per_node", None)
    assert theirs == ours


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_another_setting_makes_other_pods(overlay: str, tmp_path: Path) -> None:
    """They read their settings when they start: were the ConfigMap only replaced, no pod would ever know."""
    shutil.copytree(FOLDER, tmp_path / "kuberay")
    with (tmp_path / "kuberay" / "base" / "settings.env").open("a") as settings:
        settings.write("REQUEST_TIMEOUT=77\n")
    before, after = rendered(overlay), rendered(overlay, tmp_path / "kuberay")
    assert settings_of(after).request_timeout == 77
    (settings_map,) = [m for m in after if m["kind"] == "ConfigMap"]
    old, new = (of_kind(m, "RayService")["spec"]["rayClusterConfig"] for m in (before, after))
    for was, now in zip(
        [old["headGroupSpec"], *old["workerGroupSpecs"]], [new["headGroupSpec"], *new["workerGroupSpecs"]], strict=True
    ):
        assert was != now
        named = now["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"]
        assert named == settings_map["metadata"]["name"]


PROCESS_BYTES = 600_000_000
"""Of a model replica without models and pictures: Python, torch, Ray."""
OTHERS_BYTES = 2_000_000_000
"""Ray's own processes of a node, the HTTP proxy, an ingress replica, a detector."""


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_replicas_may_hold_fits_into_their_pod(overlay: str) -> None:
    """Each knows the whole pod's memory only, and not how many it shares it with."""
    manifests = rendered(overlay)
    inpainter, settings = deployment_of(manifests, "Inpainter"), settings_of(manifests)
    # The groups whose pods model replicas run on: those with GPUs where they need one, which is one for each.
    group = of_kind(manifests, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"][-1]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    there = bytes_of(limits["memory"])
    most = int(limits.get("nvidia.com/gpu", limits["cpu"]))
    replicas = min(most, inpainter["max_replicas_per_node"])
    jobs = settings.job_memory_bytes or int(0.4 * there)
    models = 0 if settings.iopaint_device == "cuda" else settings.model_memory_bytes or int(0.5 * there)
    shared = OTHERS_BYTES + int(group["rayStartParams"]["object-store-memory"])
    assert replicas * (PROCESS_BYTES + models + jobs) + shared <= there
    assert jobs >= settings.max_pixels * JOB_BYTES_PER_PX, "the largest picture that is allowed would be refused"
    if overlay == "cpu":
        assert inpainter["autoscaling_config"]["max_replicas"] == replicas * group["maxReplicas"]


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_websockets_behind_the_ingress_are_bounded_by_the_replica(overlay: str) -> None:
    """All of its clients have one address: what one may open is what a replica has for all, with places for calls left
    where each takes one, as without the guard."""
    manifests = rendered(overlay)
    places = deployment_of(manifests, "Ingress")["max_ongoing_requests"]
    assert 0.75 * places <= settings_of(manifests).max_websockets_per_client < places


def pods_as_written() -> list[Manifest]:
    base = yaml.safe_load((FOLDER / "base" / "rayservice.yaml").read_text())["spec"]["rayClusterConfig"]
    (gpu,) = yaml.safe_load((FOLDER / "overlays" / "gpu" / "workers.yaml").read_text())
    groups = [base["headGroupSpec"], *base["workerGroupSpecs"], gpu["value"]]
    return [group["template"]["spec"] for group in groups]


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nodes_can_be_emptied_and_one_worker_stays(overlay: str) -> None:
    """A RayCluster cannot be asked how many pods it wants: of its pods a budget with ``maxUnavailable``, or a share,
    lets none go."""
    manifests = rendered(overlay)
    groups = of_kind(manifests, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    for budget in [m["spec"] for m in manifests if m["kind"] == "PodDisruptionBudget"]:
        wanted = budget["selector"]["matchLabels"].items()
        (chosen,) = [group for group in groups if wanted <= group["template"]["metadata"]["labels"].items()]
        assert "maxUnavailable" not in budget
        assert isinstance(budget["minAvailable"], int)
        assert 1 <= budget["minAvailable"] < chosen["minReplicas"] <= chosen["replicas"]


@needs_kubectl
def test_the_autoscaler_and_redis_have_no_more_rights_than_they_need() -> None:
    """KubeRay gives the autoscaler's container what stands here, and nothing of the head's."""
    manifests = rendered("cpu")
    scaler = of_kind(manifests, "RayService")["spec"]["rayClusterConfig"]["autoscalerOptions"]
    (redis,) = of_kind(manifests, "StatefulSet", "iopaint-redis")["spec"]["template"]["spec"]["containers"]
    for rights in (scaler["securityContext"], redis["securityContext"]):
        assert rights["readOnlyRootFilesystem"]
        assert (rights["allowPrivilegeEscalation"], rights["capabilities"]) == (False, {"drop": ["ALL"]})


def test_every_pod_is_an_ordinary_user_who_writes_to_two_folders_only() -> None:
    """As compose.yaml's container, with which ``scripts/rehearse_image`` sees that it works."""
    assert len(pods_as_written()) == 3
    for pod in pods_as_written():
        user = pod["securityContext"]
        assert (user["runAsNonRoot"], user["runAsUser"]) == (True, 1000)
        (container,) = pod["containers"]
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"]
        assert (rights["allowPrivilegeEscalation"], rights["capabilities"]) == (False, {"drop": ["ALL"]})
        written = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(written.values()) == {"/tmp", MODEL_DIR}
        assert written.keys() == {volume["name"] for volume in pod["volumes"] if volume["emptyDir"] == {}}


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_parts_fit_together(overlay: str) -> None:
    manifests = rendered(overlay)
    spec = of_kind(manifests, "RayService")["spec"]
    cluster = spec["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"] for group in groups]
    containers = [pod["spec"]["containers"][0] for pod in pods]
    assert len({c["image"] for c in containers}) == 1, "one image, or Ray refuses to pickle across"
    assert all(c["envFrom"] == containers[0]["envFrom"] for c in containers)
    assert all(pod["spec"]["securityContext"]["runAsNonRoot"] for pod in pods)
    # The autoscaler is a container of the head's pod, and the account gives no token by itself.
    assert [pod["spec"].get("automountServiceAccountToken", False) for pod in pods] == [True] + [False] * len(pods[1:])
    # KubeRay's rules beyond the schema: the resources of a group stand in one place.
    assert not any("num-gpus" in group["rayStartParams"] for group in groups)
    longest = max(
        deployment["graceful_shutdown_timeout_s"]
        for deployment in yaml.safe_load(spec["serveConfigV2"])["applications"][0]["deployments"]
    )
    drain_s = 30
    assert all(pod["spec"]["terminationGracePeriodSeconds"] >= longest + drain_s for pod in pods[1:])
    port = spec["serveService"]["spec"]["ports"][0]
    assert port["targetPort"] == yaml.safe_load(spec["serveConfigV2"])["http_options"]["port"]
    (rule,) = of_kind(manifests, "Ingress")["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert (backend["name"], backend["port"]["number"]) == (spec["serveService"]["metadata"]["name"], port["port"])
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        chosen = next(m for m in manifests if m["kind"] == kind)["spec"]
        wanted = (chosen.get("podSelector") or chosen["selector"])["matchLabels"]
        assert wanted.items() <= pods[1]["metadata"]["labels"].items(), kind
