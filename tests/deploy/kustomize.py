"""As much of kustomize as deploy/kubernetes uses: resources, components, config maps, patches."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Manifest: TypeAlias = "dict[str, Any]"

KNOWN = {"apiVersion", "kind", "resources", "components", "configMapGenerator", "patches"}


def build(folder: Path) -> list[Manifest]:
    """What ``kubectl kustomize FOLDER`` prints. Raises AssertionError for what is not known here."""
    return _built(folder, "Kustomization", [])


def _built(folder: Path, kind: str, there: list[Manifest]) -> list[Manifest]:
    """``there`` is what a component is added to, and what it may patch."""
    asked = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert asked["kind"] == kind
    assert asked.keys() <= KNOWN, asked.keys() - KNOWN
    manifests = list(there)
    for resource in asked["resources"]:
        path = folder / resource
        manifests += build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for component in asked.get("components", []):
        manifests = _built(folder / component, "Component", manifests)
    made = []
    for generator in asked.get("configMapGenerator", []):
        data = {name: (folder / name).read_text() for name in generator.get("files", ())}
        data |= dict(literal.split("=", 1) for literal in generator.get("literals", ()))
        name = f"{generator['name']}-{hashlib.sha256(repr(data).encode()).hexdigest()[:10]}"
        made.append((generator["name"], name))
        manifests.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
    for patch in asked.get("patches", []):
        manifests = _patched(manifests, patch)
    for old, new in made:
        _rename(manifests, old, new)
    return manifests


def _rename(manifests: list[Manifest], old: str, new: str) -> None:
    """A changed config map has another name, so that a Deployment rolls."""
    for manifest in manifests:
        pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
        sources = [source for container in pod.get("containers", []) for source in container.get("envFrom", [])]
        for named in [volume.get("configMap", {}) for volume in pod.get("volumes", [])] + [
            source.get("configMapRef", {}) for source in sources
        ]:
            if named.get("name") == old:
                named["name"] = new


def _patched(manifests: list[Manifest], patch: Manifest) -> list[Manifest]:
    change, kept, met = yaml.safe_load(patch["patch"]), [], 0
    for manifest in manifests:
        is_target = (manifest["kind"], manifest["metadata"]["name"]) == (
            patch["target"]["kind"],
            patch["target"]["name"],
        )
        met += is_target
        if not is_target:
            kept.append(manifest)
        elif isinstance(change, list):
            kept.append(_changed(manifest, change))
        else:
            assert change["$patch"] == "delete", "no other strategic merge is known here"
    assert met == 1, f"{patch['target']} is {met} manifests"
    return kept


def _changed(manifest: Manifest, steps: list[Manifest]) -> Manifest:
    """RFC 6902, of which there are ``add`` and ``remove`` of members of objects."""
    changed = copy.deepcopy(manifest)
    for step in steps:
        *parents, last = step["path"].lstrip("/").split("/")
        place: Any = changed
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place[parent]
        if step["op"] == "add":
            place[last] = step["value"]
        else:
            assert step["op"] == "remove"
            del place[last]
    return changed
