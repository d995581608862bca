"""Tries the jail in real cells, made as all cells are: what was set up must also hold. For an event loop.

Entering a layer without an error is the kernel's word. Here a cell that is behind it reaches out (`jail.proof`), once
with its limits on descriptors off, which would hide what they hide; and one behind all layers makes a forbidden call.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace

from jail.doctor import Finding
from jail.errors import SetUpError
from jail.layers import Layer
from jail.pool import Pool
from jail.result import Result, Status
from jail.spec import Layers, Limits, ZygoteSpec

_JOB = "jail.proof:Proof"
_LIMITS = Limits(memory_bytes=64 << 20, cpu_s=20)
_TOO_MUCH_BYTES = 128 << 20
_TIMEOUT_S = 20.0
_OPENING = frozenset({Layer.NETWORK_NAMESPACE, Layer.LANDLOCK, Layer.DESCRIPTORS})
"""Seen only by cells that may open something."""
_FIX = "report this host: the layer was entered without an error, and does not hold"


@dataclass(frozen=True, slots=True)
class Proof:
    """What cells found: layers that do not hold, and why; whether a violation's system call can be named."""

    broken: tuple[tuple[Layer, str], ...]
    named: bool

    def check(self) -> None:
        """Raises `SetUpError` where a layer does not hold."""
        for layer, why in self.broken:
            raise SetUpError(layer, why, _FIX)


def merged(findings: list[Finding], proof: Proof) -> list[Finding]:
    """What was found of each layer, put right by what real cells found."""
    broken = dict(proof.broken)
    found = [
        replace(finding, present=False, why=broken[finding.layer], fix=_FIX) if finding.layer in broken else finding
        for finding in findings
    ]
    unnamed = "" if proof.named else "it holds, but leaves no means to name the system call of a violation"
    return [
        replace(finding, why=unnamed) if finding.layer is Layer.SECCOMP and finding.present else finding
        for finding in found
    ]


async def prove(layers: Layers) -> Proof:
    """Have real cells try all layers but those that ``layers`` give up. Raises `JailError` where none can be made."""
    every = set(Layer) - layers.dangerously_without
    bare = replace(layers, dangerously_without=layers.dangerously_without | {Layer.SECCOMP})
    barer = replace(bare, dangerously_without=bare.dangerously_without | {Layer.RLIMITS})
    try:
        async with asyncio.TaskGroup() as group:
            looks = [
                group.create_task(_look(barer, every & _OPENING)),
                group.create_task(_look(bare, every - _OPENING)),
            ]
            violating = group.create_task(_violate(layers))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    sealed = violating.result()
    broken = [found for look in looks for found in look.result()]
    return Proof((*broken, *_unstopped(sealed, layers)), sealed.violation is not None)


async def _look(layers: Layers, wanted: set[Layer]) -> list[tuple[Layer, str]]:
    pool = Pool(ZygoteSpec(_JOB), _LIMITS, busy=1, idle=1, layers=layers)
    await pool.start()
    try:
        there = sorted(wanted - pool.layers_off)
        result, answer = await _ask(pool, " ".join(["look", *there]))
        if result.status is not Status.OK:
            return [(there[0], f"the cell that looked at its layers ended: {result.status} ({result.reason})")]
        found = [(Layer(layer), str(why)) for layer, why in json.loads(answer)]
        if Layer.CGROUPS in there:
            result, _ = await _ask(pool, f"grow {_TOO_MUCH_BYTES}")
            if result.status is not Status.MEMORY:
                found.append((Layer.CGROUPS, f"a cell took more memory than it may have, and ended: {result.status}"))
        return found
    finally:
        await pool.close()


async def _violate(layers: Layers) -> Result:
    pool = Pool(ZygoteSpec(_JOB), _LIMITS, busy=1, idle=1, layers=layers)
    await pool.start()
    try:
        result, _ = await _ask(pool, "call")
        return result
    finally:
        await pool.close()


def _unstopped(sealed: Result, layers: Layers) -> list[tuple[Layer, str]]:
    if Layer.SECCOMP in layers.dangerously_without or sealed.status is Status.VIOLATION:
        return []
    return [(Layer.SECCOMP, f"a cell that made a forbidden call ended: {sealed.status} ({sealed.reason})")]


async def _ask(pool: Pool, deed: str) -> tuple[Result, bytes]:
    async with pool.run(deed.encode(), b"", timeout_s=_TIMEOUT_S) as run:
        answer = b"".join([payload async for payload in run])
    assert run.result is not None, "the run is over"
    return run.result, answer
