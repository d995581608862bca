"""What a host has for each layer."""

from __future__ import annotations

from jail.doctor import examine
from jail.layers import Layer


def test_every_layer_is_tried_on_this_host() -> None:
    findings = {finding.layer: finding for finding in examine()}
    assert set(findings) == set(Layer)
    for layer in set(Layer) - {Layer.LANDLOCK, Layer.USER_NAMESPACE}:
        assert findings[layer].present, findings[layer]


def test_a_missing_layer_comes_with_its_cure() -> None:
    findings = {finding.layer: finding for finding in examine(cgroup_parent="/no/such/group")}
    assert not findings[Layer.CGROUPS].present
    assert "No such file" in findings[Layer.CGROUPS].why
    assert "Delegate=yes" in findings[Layer.CGROUPS].fix
    assert findings[Layer.SECCOMP].present
