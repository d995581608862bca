"""What a filter compiled from a policy does, in a process of its own: each call either returns or kills."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

POLICY = """
write: fd == 1                                        # the answer
write: fd == 2; return EBADF                          # quiet
exit_group:                                           # the end
mmap: prot in PROT_READ|PROT_WRITE && flags & ~MAP_NORESERVE == MAP_PRIVATE|MAP_ANONYMOUS  # heap
mremap: flags in MREMAP_MAYMOVE                       # heap
clone3: return ENOSYS                                 # libc falls back
getpriority: arg0 == 1 && arg1 < 5 || arg0 == 2       # for this test
"""
PROGRAM = """
import ctypes, os, sys
from pathlib import Path
import prctl
from jail import policy, seccomp
compiled = seccomp.Ready.of(seccomp.compile_filters(policy.read(Path(sys.argv[1]))))
number, *arguments = map(int, sys.argv[2:])
libc = ctypes.CDLL(None, use_errno=True)
prctl.set_no_new_privs(1)
compiled.enter(None)
compiled.take_back()
result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments))
os.write(1, str(-ctypes.get_errno() if result == -1 else 0).encode())
os._exit(0)
"""
WRITE, MMAP, MREMAP, GETPPID, CLONE3, GETPRIORITY = 1, 9, 25, 110, 435, 140
X32 = 0x40000000
ANONYMOUS, NORESERVE, FIXED = 0x22, 0x4000, 0x10


@pytest.mark.skipif(sys.platform != "linux" or __import__("platform").machine() != "x86_64", reason="x86-64's numbers")
@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        ((WRITE, 1, 0, 0), "0"),
        ((WRITE, 2, 0, 0), "-9"),
        ((WRITE, 3, 0, 0), "killed"),
        ((WRITE, (1 << 32) | 1, 0, 0), "killed"),
        ((MMAP, 0, 4096, 3, ANONYMOUS, 0, 0), "0"),
        ((MMAP, 0, 4096, 3, ANONYMOUS | NORESERVE, 0, 0), "0"),
        ((MMAP, 0, 4096, 5, ANONYMOUS, 0, 0), "killed"),
        ((MMAP, 0, 4096, 3, ANONYMOUS | FIXED, 0, 0), "killed"),
        ((MMAP, 0, 4096, 3, 0x2, 0, 0), "killed"),
        ((MREMAP, 0, 0, 0, 2), "killed"),
        ((GETPPID,), "killed"),
        ((X32 | WRITE, 1, 0, 0), "killed"),
        ((CLONE3, 0, 0), "-38"),
        ((GETPRIORITY, 1, 4), "-3"),
        ((GETPRIORITY, 1, 5), "killed"),
        ((GETPRIORITY, 2, 9), "-3"),
    ],
)
def test_a_call_is_allowed_answered_or_death(tmp_path: Path, call: tuple[int, ...], outcome: str) -> None:
    policy = tmp_path / "test.policy"
    policy.write_text(POLICY)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(policy), *map(str, call)],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        text=True,
        check=False,
    )
    assert ("killed" if done.returncode == -31 else done.stdout or done.stderr) == outcome


def test_a_name_that_is_no_system_call_is_refused(tmp_path: Path) -> None:
    from jail import policy, seccomp
    from jail.errors import PolicyError

    path = tmp_path / "test.policy"
    path.write_text("read:  # fine\nraed:  # a slip\n")
    with pytest.raises(PolicyError, match=":2: raed is not a system call"):
        seccomp.compile_filters(policy.read(path))


ORPHAN = """
import os, socket
import prctl
from jail import policy, seccomp
from jail.errors import SetUpError
from jail.spec import ZygoteSpec
ready = seccomp.Ready.of(seccomp.compile_filters(policy.read(ZygoteSpec("no:Job").policy_path)))
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
theirs.close()
os.dup2(ours.fileno(), seccomp.HANDOVER_FD)
os.close(0)  # a cell has none either, and its listener lies there
prctl.set_no_new_privs(1)
try:
    ready.enter(b"1")
except SetUpError:
    os.getppid()  # as the report of an error may, what no policy allows
    os._exit(7)
os._exit(0)
"""


def test_a_process_whose_zygote_has_gone_does_not_wait_for_itself_to_listen() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN], timeout=20, check=False)
    assert done.returncode == 7
