"""What a fork allocates lies above what its parent uses, so that it copies next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jail.environment import zygote_environment

PROGRAM = """
import ctypes, os, resource, sys
from jail import heap

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
libc.free.argtypes = (ctypes.c_void_p,)

# A heap as loading leaves it: every second block is free, on pages that the others have in use.
blocks = [libc.malloc(2000) for _ in range(20_000)]
for block in blocks:
    ctypes.memset(block, 1, 2000)
for block in blocks[::2]:
    libc.free(block)
highest = max(blocks)
if "room" in sys.argv:
    heap.make_room(64 << 20)
if os.fork() == 0:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    fresh = [libc.malloc(1500) for _ in range(8_000)]
    for block in fresh:
        ctypes.memset(block, 2, 1500)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    print(sum(block < highest for block in fresh), faults)
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""


def deeds(*arguments: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=zygote_environment({}),
        capture_output=True,
        text=True,
        check=True,
    )
    reused, faults = map(int, done.stdout.split())
    return reused, faults


def test_a_fork_leaves_its_parents_holes_alone() -> None:
    reused_as_it_was, faults_as_it_was = deeds()
    reused, faults = deeds("room")
    assert reused_as_it_was > 7_000
    assert reused == 0
    assert faults < faults_as_it_was / 4


ALIGNED = """
import ctypes, os
from jail import heap

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)


def use_memory_up_to_the_end_of_a_page():
    start, _ = heap._free_top()
    libc.malloc((4 << 20) - start % 4096 - 8)  # from the top, as no hole is as large; 8 bytes are malloc's own


heap._fill_holes = use_memory_up_to_the_end_of_a_page
heap.make_room(64 << 20)
start, _ = heap._free_top()
libc.malloc(12 << 20)
libc.malloc(90 << 20)  # the heap has to grow, and looks at what the free block says of itself
print(start % 4096)
"""


def test_the_heap_is_sound_when_its_free_memory_begins_with_a_page() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALIGNED], env=zygote_environment({}), capture_output=True, text=True, check=False
    )
    assert not done.stderr
    assert int(done.stdout) == 0


KEPT = """
import mmap
from jail import heap

SIZE = 32 << 20
full, sparse = (mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for _ in range(2))
full[:: mmap.PAGESIZE] = b"1" * (SIZE // mmap.PAGESIZE)
sparse[:: 1 << 20] = b"1" * (SIZE >> 20)


def huge_and_there():
    with open("/proc/self/smaps_rollup") as lines:
        fields = dict(line.split(":") for line in list(lines)[1:])
    return [int(fields[name].split()[0]) for name in ("AnonHugePages", "Rss")]


before = huge_and_there()
heap.make_room(64 << 20)
print(*(now - then for now, then in zip(huge_and_there(), before)))
"""


def test_what_is_kept_moves_into_huge_pages_where_it_fills_them() -> None:
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 1):
        pytest.skip("MADV_COLLAPSE, Linux 6.1, is missing")
    done = subprocess.run(
        [sys.executable, "-c", KEPT], env=zygote_environment({}), capture_output=True, text=True, check=True
    )
    huge_kb, there_kb = map(int, done.stdout.split())
    assert huge_kb >= 24 << 10
    assert there_kb < 8 << 10
