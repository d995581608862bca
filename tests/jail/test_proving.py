"""The jail tried from inside, in real cells: nothing is found here, and what is off is found where a layer is off."""

from __future__ import annotations

import json

import pytest

from jail import proving
from jail.doctor import Finding
from jail.errors import SetUpError
from jail.layers import Layer
from jail.pool import Pool
from jail.proving import Proof, merged, prove
from jail.spec import Layers, Limits, ZygoteSpec
from tests.jail.conftest import ask

BARE = frozenset({Layer.SECCOMP, Layer.RLIMITS})
HIDING = {
    # With these on, the absence of the layer would not show.
    Layer.MOUNTS: {Layer.LANDLOCK},
    Layer.CAPABILITIES: {Layer.LANDLOCK},
    Layer.NO_NEW_PRIVS: {Layer.LANDLOCK},
    Layer.PROCESS: {Layer.IDENTITY},
    Layer.IDENTITY: set[Layer](),
}


async def test_every_layer_of_this_host_holds() -> None:
    proof = await prove(Layers())
    assert proof == Proof((), named=True)
    proof.check()


@pytest.mark.parametrize(
    "layer",
    [
        Layer.PID_NAMESPACE,
        Layer.NETWORK_NAMESPACE,
        Layer.MOUNTS,
        Layer.RLIMITS,
        Layer.DESCRIPTORS,
        Layer.IDENTITY,
        Layer.CAPABILITIES,
        Layer.NO_NEW_PRIVS,
        Layer.PROCESS,
        Layer.LANDLOCK,
    ],
)
async def test_a_layer_that_is_off_is_seen_to_be_off(layer: Layer) -> None:
    layers = Layers(dangerously_without=BARE | {layer} | HIDING.get(layer, set()))
    pool = Pool(ZygoteSpec("jail.proof:Proof"), Limits(memory_bytes=64 << 20), busy=1, idle=1, layers=layers)
    await pool.start()
    try:
        result, answers, _ = await ask(pool, f"look {layer}")
    finally:
        await pool.close()
    assert [found for found, _ in json.loads(answers[0])] == [layer], result


async def test_a_cell_without_bounds_or_filter_is_seen_to_be_unstopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "_LIMITS", Limits(memory_bytes=512 << 20))
    monkeypatch.setattr(proving, "_JOB", "tests.jail.proof_jobs:Obedient")
    proof = await prove(Layers())
    assert {layer for layer, _ in proof.broken} == {Layer.CGROUPS, Layer.SECCOMP}
    assert not proof.named
    with pytest.raises(SetUpError, match="cgroups"):
        proof.check()


async def test_what_was_given_up_is_not_missed() -> None:
    given_up = frozenset({Layer.NETWORK_NAMESPACE, Layer.SECCOMP})
    assert (await prove(Layers(dangerously_without=given_up))).broken == ()


def test_what_cells_find_goes_before_what_was_found() -> None:
    findings = [Finding(Layer.MOUNTS, present=True), Finding(Layer.SECCOMP, present=True)]
    mounts, seccomp = merged(findings, Proof(((Layer.MOUNTS, "the cell sees /etc"),), named=False))
    assert (mounts.present, mounts.why) == (False, "the cell sees /etc")
    assert seccomp.present
    assert "no means to name" in seccomp.why
