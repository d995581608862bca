"""Cells that execute one program."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jail import elf
from jail.errors import SpecError
from jail.layers import Layer
from jail.pool import Pool
from jail.result import Status
from jail.spec import Limits, Program, ZygoteSpec
from tests.jail.conftest import ask, cells
from tests.jail.program_jobs import RESOLVER, SHELL

LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
OTHER = "/usr/bin/env"
JOB = "tests.jail.program_jobs:Shell"
READS = (*(folder for folder in LIBRARIES if os.path.isdir(folder)), OTHER)
LIMITS = Limits(memory_bytes=128 << 20, pids=8, cpu_s=20)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    program = Program(SHELL, READS, scratch_bytes=4 << 20)
    pool = Pool(ZygoteSpec(JOB, policy="program", program=program), LIMITS, busy=1, idle=1)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


async def said(pool: Pool, script: str) -> tuple[int, str]:
    result, payloads, _ = await ask(pool, "script", script.encode())
    assert result.status is Status.OK, result
    status, _, text = payloads[0].decode().partition(" ")
    return int(status), text


async def test_a_program_works_and_reaches_nothing_but_its_own(pool: Pool) -> None:
    assert pool.layers_in_force >= {Layer.MOUNTS, Layer.NETWORK_NAMESPACE, Layer.SECCOMP}
    root = Path(f"/proc/{cells()[0]}/root")
    top = {Path(path).parts[1] for path in (*READS, SHELL, elf.interpreter(SHELL) or SHELL)} | {"tmp"}
    assert set(os.listdir(root)) == top

    assert await said(pool, "echo works > /tmp/note; read text < /tmp/note; echo $text") == (0, "works\n")
    # The other program can be read, and not be executed.
    status, text = await said(pool, f"read line < {OTHER} 2>&1; exec {OTHER}")
    assert (status, "Permission denied" in text) == (126, Layer.LANDLOCK in pool.layers_in_force)
    for script in (
        "read text < /etc/passwd",
        f"echo x > {READS[0]}/x",
        f"echo x >> {OTHER}",
        "echo x > /x",
        "echo forged >&4",
        "read request <&3",
        "echo /proc/1/* | read x; cd /proc",
        'echo "#!/bin/sh" > /tmp/run; exec /tmp/run',
    ):
        status, text = await said(pool, script)
        assert status, script
    # Nothing is left of what earlier requests wrote, and this cell's scratch has an end.
    assert await said(pool, "echo /tmp/*") == (0, "/tmp/out\n")
    status, _ = await said(pool, f"while :; do echo {'x' * 500} || exit 7; done > /tmp/big")
    assert status
    status, text = await said(pool, "for n in 1 2 3 4 5 6 7 8 9; do (while :; do :; done) & done")
    assert status
    assert "fork" in text
    result, payloads, _ = await ask(pool, "socket")
    assert (result.status, payloads) == (Status.OK, [b"refused"])


async def test_a_program_that_hangs_ends_with_its_cell(pool: Pool) -> None:
    result, _, _ = await ask(pool, "script", b"while :; do :; done", timeout_s=2)
    assert result.status is Status.TIMEOUT


async def test_a_program_with_the_network_finds_hosts_by_their_names() -> None:
    """The C library asks netlink for this host's addresses too, which its policy refuses: it goes on without."""
    if not os.path.exists(RESOLVER):
        pytest.skip(f"there is no {RESOLVER}")
    files = [path for path in ("/etc/hosts", "/etc/nsswitch.conf") if os.path.exists(path)]
    program = Program(RESOLVER, (*READS, *files), network=True, scratch_bytes=1 << 20)
    pool = Pool(
        ZygoteSpec("tests.jail.program_jobs:Resolver", policy="program-network", program=program),
        LIMITS,
        busy=1,
        idle=1,
    )
    await pool.start()
    try:
        result, payloads, _ = await ask(pool, "find", b"localhost")
    finally:
        await pool.close()
    assert result.status is Status.OK, result
    assert payloads[0].startswith(b"0 ")
    assert b"127.0.0.1" in payloads[0]


@pytest.mark.parametrize(
    ("path", "reads", "said"),
    [
        ("bin/sh", (), "absolute"),
        ("/bin/../bin/sh", (), "absolute"),
        ("/bin/none", (), "no /bin/none"),
        (SHELL, ("/tmp/models",), "lies in /tmp"),
        (SHELL, ("/",), "below /"),
    ],
)
def test_a_program_that_cannot_be_had_is_refused(path: str, reads: tuple[str, ...], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Program(path, reads)


def test_a_script_is_no_program(tmp_path: Path) -> None:
    script = tmp_path / "ocr"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(SpecError, match="ELF"):
        elf.interpreter(str(script))
    script.write_bytes(Path(SHELL).read_bytes()[:70])
    with pytest.raises(SpecError, match="damaged"):
        elf.interpreter(str(script))


def test_the_loader_of_a_program_is_found() -> None:
    assert os.path.exists(elf.interpreter(SHELL) or "")
