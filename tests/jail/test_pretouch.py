"""A cell's memory is there before its request: fewer page faults for the same work."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from array import array

from jail import syscalls
from jail.environment import zygote_environment
from jail.pool import Pool
from jail.result import Status
from tests.jail.conftest import ask

PROGRAM = """
import os, resource
from jail import heap, pretouch

kept = bytearray(8 << 20)
kept[::4096] = b"1" * len(kept[::4096])

def work():
    kept[::4096] = b"2" * len(kept[::4096])
    fresh = bytearray(8 << 20)
    fresh[::4096] = b"3" * len(fresh[::4096])

def faults_of_work():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

work()
heap.make_room(64 << 20)
footprint = pretouch.scout(work)
for touches in (False, True):
    if os.fork() == 0:
        if touches:
            footprint.touch()
        print(faults_of_work(), flush=True)
        os._exit(0)
    os.wait()
print(sum(footprint.written[1::2]))
"""


def test_what_the_scout_wrote_is_there_in_its_siblings() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=zygote_environment({}), capture_output=True, text=True, check=True
    )
    without, with_it, written = map(int, done.stdout.split())
    assert without > (8 << 20) / mmap.PAGESIZE
    assert with_it < without / 10
    assert 8 << 20 <= written < 64 << 20


async def test_only_the_first_cells_rehearse(pool: Pool) -> None:
    """The job's own rehearsal leaves a mark that a request can see."""
    marks = []
    for _ in range(6):
        result, (mark,), _ = await ask(pool, "rehearsed")
        assert result.status is Status.OK
        marks.append(mark)
    assert marks[0] == b"True"
    assert marks[-1] == b"False"


def test_a_range_that_is_gone_keeps_no_other_from_being_filled() -> None:
    pages = 3 * syscalls.MOST_AT_ONCE
    with mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        view = ctypes.c_char.from_buffer(memory)
        first = ctypes.addressof(view)
        del view
        gone = first + (2 << 40)
        places = [first + page * mmap.PAGESIZE for page in range(0, pages, 2)]
        places.insert(syscalls.MOST_AT_ONCE + 7, gone)
        syscalls.advise(
            array("Q", [w for place in places for w in (place, mmap.PAGESIZE)]), syscalls.MADV_POPULATE_WRITE
        )
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            pagemap.seek(first // mmap.PAGESIZE * 8)
            entries = array("Q", pagemap.read(pages * 8))
    assert [entry >> 63 for entry in entries] == [1, 0] * (pages // 2)
