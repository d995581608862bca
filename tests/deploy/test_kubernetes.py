"""The manifests, against the API's own schemas and against what they promise."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest

from jail.layers import Layer
from server.settings import load
from tests.deploy.kustomize import Manifest, build

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
FORMS = ("base", "apparmor", "without-cgroups")
VERSIONS = ("1.30.0", kubernetes_validate.latest_version())


def one(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found


def pod(manifests: list[Manifest]) -> Manifest:
    spec: Manifest = one(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", FORMS)
def test_every_manifest_is_what_the_api_takes(form: str, version: str) -> None:
    manifests = build(FOLDER / form)
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)
    assert {manifest["kind"] for manifest in manifests} >= {
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ServiceAccount",
        "ConfigMap",
    }


def test_a_mistake_would_be_noticed() -> None:
    deployment = one(build(FOLDER / "base"), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRoot"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("form", FORMS)
def test_pods_stay_within_the_standard_restricted(form: str) -> None:
    """Kubernetes' Pod Security Standards, the strictest of the three."""
    spec = pod(build(FOLDER / form))
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"]["type"] in {"RuntimeDefault", "Localhost"}
    assert spec["securityContext"].get("appArmorProfile", {"type": "Localhost"})["type"] == "Localhost"
    assert all(volume.keys() & {"configMap", "emptyDir"} for volume in spec["volumes"])
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert "privileged" not in context


@pytest.mark.parametrize("form", FORMS)
def test_its_settings_are_taken(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = build(FOLDER / form)
    (container,) = pod(manifests)["containers"]
    for variable in container.get("env", []):
        monkeypatch.setenv(variable["name"], variable["value"])
    path = tmp_path / "cloister.toml"
    path.write_text(one(manifests, "ConfigMap")["data"]["cloister.toml"])
    settings = load(path)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert settings.listen.address == f"0.0.0.0:{ports['grpc']}"
    assert settings.jail.dangerously_without == ({Layer.CGROUPS} if form == "without-cgroups" else set())
    grace_s = pod(manifests)["terminationGracePeriodSeconds"]
    assert settings.limits.drain_s + container["lifecycle"]["preStop"]["sleep"]["seconds"] < grace_s


def test_selectors_meet_the_pods() -> None:
    manifests = build(FOLDER / "base")
    deployment = one(manifests, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    for selector in (
        deployment["selector"]["matchLabels"],
        one(manifests, "Service")["spec"]["selector"],
        one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector
        assert selector.items() <= labels.items()
    assert one(manifests, "Service")["spec"]["clusterIP"] == "None"
    mounted = {mount["name"] for mount in deployment["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in deployment["template"]["spec"]["volumes"]}
