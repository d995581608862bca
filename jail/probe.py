"""Tries every layer on this host, each in a child of its own. Run as ``python -m jail.probe``; see `jail.doctor`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

from jail import capabilities, landlock, namespaces
from jail.cell import STEPS, Enclosure
from jail.cgroups import Bounds, Tree
from jail.doctor import Finding
from jail.errors import SetUpError
from jail.layers import Layer
from jail.spec import Limits, ZygoteSpec

_GROUP = "probe"


def _try_all(cgroup_parent: str | None) -> list[Finding]:
    privileged = capabilities.is_privileged()
    base = frozenset[Layer]() if privileged else frozenset({Layer.USER_NAMESPACE})
    findings = []
    for layer in Layer:
        refused = _try(layer, base, cgroup_parent)
        why, fix = (refused.why, refused.fix) if refused is not None else ("", "")
        needed = not (layer is Layer.USER_NAMESPACE and privileged)
        findings.append(Finding(layer, refused is None, why, fix, needed))
    return findings


def _try(layer: Layer, base: frozenset[Layer], cgroup_parent: str | None) -> SetUpError | None:
    if layer is Layer.LANDLOCK and landlock.abi() == 0:
        fix = "Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK, and landlock among lsm= of its command line"
        return SetUpError(layer, "this kernel has no Landlock", fix)
    tree = None
    try:
        if layer is Layer.CGROUPS:
            tree = Tree.find(cgroup_parent)
            tree.prepare([os.getpid(), os.getppid()])
            tree.make(_GROUP, Bounds(memory_bytes=64 << 20, pids=1, cpus=1.0))
        limits = Limits()
        policy_path = ZygoteSpec("none:None").policy_path
        walls = Enclosure.prepare(base | {layer}, tree, policy_path, limits.cpu_s, limits.stack_bytes)
        return _in_a_child(layer, walls)
    except SetUpError as error:
        return error
    finally:
        if tree is not None:
            tree.close()


def _in_a_child(layer: Layer, walls: Enclosure) -> SetUpError | None:
    """Enter the layer in a forked child, which says over a pipe what went wrong, by its status that none did."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _enter(layer, walls)
            status = 0
        except SetUpError as error:
            os.write(writer, json.dumps([error.layer, error.why, error.fix]).encode())
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        said = answer.read()
    _, status = os.waitpid(pid, 0)
    if said:
        failed, why, fix = json.loads(said)
        return SetUpError(Layer(failed), why, fix)
    if status:
        return SetUpError(layer, f"the process that tried it ended with wait status {status}", "look for it in dmesg")
    return None


def _enter(layer: Layer, walls: Enclosure) -> None:
    """Enter one layer, after what it can't do without."""
    if not walls.privileged:
        namespaces.enter_user_namespace()
    if layer is Layer.PID_NAMESPACE:
        namespaces.unshare_pid()
    if layer in {Layer.LANDLOCK, Layer.SECCOMP}:
        capabilities.forbid_new_privileges()
    for step in STEPS:
        if step.layer is layer:
            step.enter(walls, _GROUP)


if __name__ == "__main__":
    print(json.dumps([asdict(finding) for finding in _try_all(json.loads(sys.argv[1]))]))
