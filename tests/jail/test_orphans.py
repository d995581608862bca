"""What becomes of a half-made zygote or cell whose parent ends: it ends too, wherever it stands."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from jail import cell, control
from jail.cell import STEPS
from jail.environment import zygote_environment
from jail.layers import Layer
from jail.process import ZygoteProcess
from jail.spec import Layers, ZygoteSpec
from tests.jail.conftest import JOB, LIMITS, cells, zygotes
from tests.jail.halting_jobs import PLACES

PATIENCE_S = 60.0
BARE = Layers(frozenset({Layer.PID_NAMESPACE, Layer.CGROUPS}))
"""Without what would end them all the same: the kernel with the zygote's PID namespace, the keeper with the groups."""
UNHEARD = [place for place in range(PLACES) if STEPS[place].name == "death with the zygote"]
"""Where the kernel does not know yet, or no more, whom to end: who stands there has to see for itself."""


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "T"


def ends(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], PATIENCE_S)[0])


async def test_a_cell_ends_with_its_zygote_at_every_step_of_its_way(tmp_path: Path) -> None:
    """One cell stands before each step. Those that the kernel can't end yet, go on once the zygote is gone: and find
    out before their next step."""
    marks = tmp_path / "marks"
    marks.write_bytes(bytes(PLACES))
    pidfds: dict[int, int] = {}
    kept: list[int] = []

    def hear(message: control.Message, descriptors: list[int]) -> None:
        assert isinstance(message, control.Spawned)
        pidfds[message.cell] = descriptors[0]

    zygote = ZygoteProcess(
        ZygoteSpec("tests.jail.halting_jobs:Halting", {"marks": str(marks)}), LIMITS, BARE, hear, lambda: None
    )
    try:
        await zygote.loaded()
        (pid,) = zygotes()
        for place in range(PLACES):
            request, ours = os.pipe()
            our_end, reply = os.pipe()
            kept += [ours, our_end]
            zygote.spawn(control.Spawn(place, rehearse=False), [request, reply])
            os.close(request)
            os.close(reply)
        async with asyncio.timeout(PATIENCE_S):
            while len(pidfds) < PLACES or sum(map(stopped, cells())) < PLACES:
                await asyncio.sleep(0.02)
        assert list(marks.read_bytes()) == list(range(PLACES))

        os.kill(pid, signal.SIGKILL)
        await zygote.stop()
        for place in UNHEARD:
            with suppress(ProcessLookupError):  # it is told where the identity took nothing from it
                signal.pidfd_send_signal(pidfds[place], signal.SIGCONT)
        left = [place for place in range(PLACES) if not await asyncio.to_thread(ends, pidfds[place])]
        assert left == []
        assert list(marks.read_bytes()) == list(range(PLACES)), "some went on"
    finally:
        await zygote.stop()
        for pidfd in pidfds.values():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        for fd in (*pidfds.values(), *kept):
            os.close(fd)


def test_it_is_told_whom_to_die_with_first_and_whenever_that_is_forgotten() -> None:
    names = [step.name for step in cell.STEPS]
    assert names[0] == names[names.index("identity") + 1] == "death with the zygote"


def test_a_zygote_whose_keeper_ends_before_it_has_begun_ends_too() -> None:
    channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    held, go_on = os.pipe()
    told, tell = os.pipe()
    try:
        with theirs:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "tests.jail.halting_jobs", *map(str, (theirs.fileno(), held, tell))],
                env=zygote_environment({}),
                pass_fds=[theirs.fileno(), held, tell],
                stdin=subprocess.DEVNULL,
            )
        channel.settimeout(PATIENCE_S)
        control.send(
            channel,
            control.Start(
                job=JOB,
                kwargs={},
                policy=str(ZygoteSpec(JOB).policy_path),
                threads=[],
                memory_bytes=LIMITS.memory_bytes,
                pids=LIMITS.pids,
                cpus=LIMITS.cpus,
                cpu_s=LIMITS.cpu_s,
                stack_bytes=LIMITS.stack_bytes,
                background=False,
                without=[Layer.CGROUPS],
                cgroup_parent=None,
                program=None,
                dangerously_record=None,
                server_pid=os.getpid(),
            ),
        )
        assert os.read(told, 4) == b"here"
        keeper.kill()
        keeper.wait(PATIENCE_S)
        os.write(go_on, b"x")
        # Else it would load its job, and say so.
        assert control.receive(channel) is None
    finally:
        channel.close()
        for fd in (held, go_on, told, tell):
            os.close(fd)
