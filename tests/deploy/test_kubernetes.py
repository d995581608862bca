"""The manifests, against the API's own schemas and against what they promise."""

from __future__ import annotations

import re
from pathlib import Path

import kubernetes_validate
import pytest

from jail.layers import Layer
from server.queue.gauges import LedgerGauges
from server.queue.ledger import Ledger
from server.settings import Settings, load
from tests.deploy.kustomize import Manifest, build

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
FORMS = ("base", "apparmor", "without-cgroups", "with-queue")
VERSIONS = ("1.30.0", kubernetes_validate.latest_version())


WORKER, BROKER = "cloister-worker", "cloister-broker"


def one(manifests: list[Manifest], kind: str, name: str = "cloister") -> Manifest:
    """A generated name has a hash after it."""
    (found,) = (
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and re.fullmatch(rf"{name}(-[0-9a-f]{{10}})?", manifest["metadata"]["name"])
    )
    return found


def pod(manifests: list[Manifest]) -> Manifest:
    spec: Manifest = one(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def pods(manifests: list[Manifest]) -> list[Manifest]:
    return [manifest["spec"]["template"]["spec"] for manifest in manifests if "template" in manifest.get("spec", {})]


def settings_of(
    manifests: list[Manifest], spec: Manifest, path: Path | None, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """As the container of ``spec`` finds them, with ``path`` as their file; without what secrets hold."""
    (container,) = spec["containers"]
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            for name, value in one(manifests, "ConfigMap", source["configMapRef"]["name"])["data"].items():
                monkeypatch.setenv(name, value)
    for variable in container.get("env", []):
        monkeypatch.setenv(variable["name"], variable["value"])
    return load(path)


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
    for spec in pods(build(FOLDER / form)):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] != 0
        assert spec["securityContext"]["seccompProfile"]["type"] in {"RuntimeDefault", "Localhost"}
        assert spec["securityContext"].get("appArmorProfile", {"type": "Localhost"})["type"] == "Localhost"
        assert all(volume.keys() & {"configMap", "emptyDir"} for volume in spec.get("volumes", ()))
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
    path = tmp_path / "cloister.toml"
    path.write_text(one(manifests, "ConfigMap", "cloister-settings")["data"]["cloister.toml"])
    settings = settings_of(manifests, pod(manifests), path, monkeypatch)
    assert settings.queue.serve == (form == "with-queue")
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


def queue_form() -> list[Manifest]:
    return build(FOLDER / "with-queue")


def test_workers_find_the_servers_the_broker_and_where_to_show_their_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = queue_form()
    spec = one(manifests, "Deployment", WORKER)["spec"]["template"]["spec"]
    settings = settings_of(manifests, spec, None, monkeypatch)
    (container,) = spec["containers"]
    assert {"secretRef": {"name": "cloister-queue"}} in container["envFrom"]
    (port,) = container["ports"]
    assert settings.queue.metrics.address == f"0.0.0.0:{port['containerPort']}"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
    assert {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("liveness", "readiness")} == {
        "/healthz",
        "/readyz",
    }
    server, broker = one(manifests, "Service"), one(manifests, "Service", BROKER)
    assert settings.queue.server == f"dns:///cloister:{server['spec']['ports'][0]['port']}"
    assert settings.queue.broker == f"redis://{BROKER}:{broker['spec']['ports'][0]['port']}/0"
    assert settings.limits.drain_s < spec["terminationGracePeriodSeconds"]
    # Nothing of what makes cells.
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "runtimeClassName" not in spec


def test_selectors_of_the_queue_meet_its_pods() -> None:
    manifests = queue_form()
    worker, broker = one(manifests, "Deployment", WORKER), one(manifests, "StatefulSet", BROKER)
    for workload, selectors in (
        (worker, [one(manifests, kind, WORKER)["spec"] for kind in ("PodDisruptionBudget", "NetworkPolicy")]),
        (broker, [one(manifests, kind, BROKER)["spec"] for kind in ("Service", "NetworkPolicy")]),
    ):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()
        for spec in selectors:
            selector = spec.get("podSelector") or spec["selector"]
            assert selector.get("matchLabels", selector).items() <= labels.items()
    assert broker["spec"]["serviceName"] == BROKER
    assert one(manifests, "HorizontalPodAutoscaler", WORKER)["spec"]["scaleTargetRef"]["name"] == WORKER


def allowed(policy: Manifest, labels: Manifest, port: int | str) -> bool:
    """Whether one of its rules lets pods with ``labels`` of the same namespace in by ``port``, or lets out to them."""
    for rule in [*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())]:
        peers = rule.get("from", rule.get("to", [{"podSelector": {}}]))
        selectors = [peer["podSelector"].get("matchLabels", {}) for peer in peers if "podSelector" in peer]
        if any(selector.items() <= labels.items() for selector in selectors) and port in [
            entry["port"] for entry in rule["ports"]
        ]:
            return True
    return False


def test_the_network_lets_workers_reach_servers_and_broker_and_nobody_else_the_broker() -> None:
    manifests = queue_form()
    of = {
        name: one(manifests, kind, name)["spec"]["template"]["metadata"]["labels"]
        for kind, name in (("Deployment", "cloister"), ("Deployment", WORKER), ("StatefulSet", BROKER))
    }
    policy = {name: one(manifests, "NetworkPolicy", name) for name in of}
    assert allowed(policy[WORKER], of["cloister"], 50051)
    assert allowed(policy["cloister"], of[WORKER], "grpc")
    assert allowed(policy[WORKER], of[BROKER], 6379)
    assert allowed(policy[BROKER], of[WORKER], "redis")
    assert not allowed(policy[BROKER], of["cloister"], "redis")
    assert not allowed(policy[BROKER], {"app.kubernetes.io/name": "another"}, "redis")
    assert not policy[BROKER]["spec"]["egress"]
    assert one(build(FOLDER / "base"), "NetworkPolicy")["spec"]["egress"] == []


def test_workers_are_scaled_by_what_they_show(tmp_path: Path) -> None:
    (metric,) = one(queue_form(), "HorizontalPodAutoscaler", WORKER)["spec"]["metrics"]
    wanted = metric["external"]["metric"]
    ledger = Ledger(f"sqlite:///{tmp_path}/jobs.db", most_open=1)
    shown = [sample for found in LedgerGauges(ledger).collect() for sample in found.samples]
    ledger.close()
    assert any(sample.name == wanted["name"] and sample.labels == wanted["selector"]["matchLabels"] for sample in shown)
