"""The memory a job works in, learnt once, so that every cell can have it ready before its request.

A forked process pays for its memory page by page as it first writes it: 4 us a fault where the zygote's page must be
copied, 1.5 us where an empty one is wanted, and as much again for code it has not run yet, because a fork copies no
mappings of files. For a job of a few hundred milliseconds that is a fifth on top. A rehearsal in every cell moves it
out of the request, but costs as much as the request. So one child of the zygote, the scout, rehearses; which pages were
written and read stands in /proc/self/pagemap; and each idle cell asks for those in a few calls, at a fraction of that.
Forks of one zygote have the same addresses, and a job that does the same finds the same free memory.

Sources: madvise(2), MADV_POPULATE_READ and _WRITE (Linux 5.14); the kernel's admin-guide/mm/pagemap.rst.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from jail import capabilities, mappings, syscalls
from jail.mappings import Mapping

_PAGE = mmap.PAGESIZE
_PRESENT = 1 << 63
_OF_A_FILE = 1 << 61
_EXCLUSIVE = 1 << 56
_AROUND = max(1, (64 << 10) // _PAGE)
"""Pages of a file that one read maps where they are in memory, by the kernel's default; aligned."""
_GAP_PAGES = 2
"""Ranges so close become one: a page more is cheaper than a call more."""


def _none() -> array[int]:
    return array("Q")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory that a job writes, and files' memory that it reads or runs. Empty where this kernel can't tell.

    Ranges of whole pages: the first address and the length in bytes of each in turn, uint64, as the kernel takes them.
    Of every `_AROUND` pages of a file the first that is read: the kernel maps its neighbours with it.
    """

    written: array[int] = field(default_factory=_none)
    read: array[int] = field(default_factory=_none)

    def __bool__(self) -> bool:
        return bool(self.written)

    def touch(self) -> None:
        """Have all of it in this process: private copies of what is written, mappings of what is read.

        What can't be had is left to page faults: the zygote may have let go of it since, and no request depends on it.
        """
        syscalls.advise(self.written, syscalls.MADV_POPULATE_WRITE)
        syscalls.advise(self.read, syscalls.MADV_POPULATE_READ)


def scout(rehearse: Callable[[], None]) -> Footprint:
    """What ``rehearse`` touches, from a child of this process that runs it and ends. The child meets no document."""
    if not syscalls.can_populate():
        return Footprint()
    reader, writer = os.pipe()
    zygote = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            capabilities.die_with(zygote)
            os.close(reader)
            gc.enable()
            touchable = _touchable()
            rehearse()
            written, read = _touched(touchable)
            with os.fdopen(writer, "wb") as out:
                out.write(json.dumps([written, read]).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        said = answer.read()
    _, status = os.waitpid(pid, 0)
    if status:
        return Footprint()  # a rehearsal that fails will fail in a cell, which can say why
    written, read = json.loads(said)
    return Footprint(array("Q", written), array("Q", read))


def _touchable() -> list[Mapping]:
    """What a job may touch: not the stack, nor the kernel's own, nor what nobody may read."""
    return [
        mapping
        for mapping in mappings.own()
        if mapping.access.startswith("r") and (not mapping.name.startswith("[") or mapping.name == mappings.HEAP)
    ]


def _touched(touchable: list[Mapping]) -> tuple[list[int], list[int]]:
    """Ranges written and ranges read since this process was forked.

    An anonymous page that only this process has was made by writing: the others it shares with its parent. A page of a
    file is there only if it was needed, or lay next to one that was.
    """
    written: list[int] = []
    read: list[int] = []
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for mapping in touchable:
            entries = array("Q")
            first = mapping.start // _PAGE
            pagemap.seek(first * 8)
            entries.frombytes(pagemap.read((mapping.end - mapping.start) // _PAGE * 8))
            for page, entry in enumerate(entries, start=first):
                if not entry & _PRESENT:
                    continue
                if entry & _OF_A_FILE:
                    read.append(page)
                elif "w" in mapping.access and entry & _EXCLUSIVE:
                    written.append(page)
    seeds = {page // _AROUND: page for page in reversed(read)}
    return _ranges(written), [word for page in sorted(seeds.values()) for word in (page * _PAGE, _PAGE)]


def _ranges(pages: list[int]) -> list[int]:
    """Ascending page numbers as ranges, small gaps closed."""
    found: list[list[int]] = []
    for page in pages:
        if found and page - found[-1][1] <= _GAP_PAGES:
            found[-1][1] = page
        else:
            found.append([page, page])
    return [word for first, last in found for word in (first * _PAGE, (last - first + 1) * _PAGE)]
