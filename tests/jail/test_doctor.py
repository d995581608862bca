"""What a host has for each layer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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


def test_a_container_whose_profile_refuses_namespaces_is_told_what_to_change() -> None:
    """The doctor under a filter such as a container's: unshare fails, as it does in Docker without privileges."""
    program = (
        "import json, prctl, pyseccomp, errno; from dataclasses import asdict; from jail.doctor import examine\n"
        "profile = pyseccomp.SyscallFilter(pyseccomp.ALLOW)\n"
        "profile.add_rule(pyseccomp.ERRNO(errno.EPERM), 'unshare'); profile.load()\n"
        "print(json.dumps([asdict(found) for found in examine()]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True
    )
    findings = {found["layer"]: found for found in json.loads(done.stdout)}
    for layer in (Layer.PID_NAMESPACE, Layer.NETWORK_NAMESPACE, Layer.MOUNTS):
        assert not findings[layer]["present"]
        assert "Operation not permitted" in findings[layer]["why"]
        assert "a seccomp profile holds this" in findings[layer]["fix"]
        assert "unshare, setns, mount" in findings[layer]["fix"]
    assert findings[Layer.SECCOMP]["present"]
