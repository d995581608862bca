"""The zygote's heap, arranged so that a fork copies little of it. For glibc's malloc, as `jail.environment` sets it.

A forked cell copies each page it writes that the zygote has used, 4 us a page here, and gets an untouched one for a
third of that, or 512 in one fault where the kernel has huge pages. malloc reuses what is free before it takes what is
new: the holes of a warmed-up heap are scattered over thousands of used pages. So the holes are filled for good, and all
that a cell allocates comes from above, in one piece.

What the zygote keeps is put into huge pages: a fork copies one entry for each instead of 512, and an end drops as many.

Sources: malloc_trim(3), mallinfo(3), madvise(2); the kernel's admin-guide/mm/transhuge.rst.
"""

from __future__ import annotations

import array
import ctypes
import mmap
from collections.abc import Iterator

from jail import mappings

_PAGE = mmap.PAGESIZE
_HUGE = 2 << 20
_BLOCK = 16 << 20
"""Below the size that malloc maps on its own."""
_SMALL = 1024
_GRAIN = 16
_HEADER = 16
_WELL_FILLED = 256
"""Pages there must be of a huge page before it is made: the rest of it would be memory for nothing."""
_COLLAPSE = 25
_PRESENT = 1 << 63
_OWN_BYTES = 1 << 20
"""What the zygote itself may still allocate. No huge page may form there: cells would copy it in 512 pieces."""


class _Info(ctypes.Structure):
    """mallinfo(3): ten numbers, of which the last is the size of the free block at the top."""

    _fields_ = [("others", ctypes.c_size_t * 9), ("keepcost", ctypes.c_size_t)]


_libc = ctypes.CDLL(None)
_libc.malloc.argtypes = (ctypes.c_size_t,)
_libc.malloc.restype = ctypes.c_void_p
_libc.free.argtypes = (ctypes.c_void_p,)
_libc.free.restype = None
_libc.malloc_trim.argtypes = (ctypes.c_size_t,)
_libc.mallinfo2.restype = _Info
_libc.sbrk.argtypes = (ctypes.c_ssize_t,)
_libc.sbrk.restype = ctypes.c_void_p
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def make_room(size: int) -> None:
    """Give free memory back, fill the holes that are left, and have ``size`` untouched bytes above all that is in use.

    To be called once everything is loaded.
    """
    _libc.malloc_trim(0)
    _fill_holes()
    blocks = [_libc.malloc(_BLOCK) for _ in range(size // _BLOCK)]
    for block in blocks:
        _libc.free(block)
    start, end = _free_top()
    # malloc keeps the free block's own size at its start: that page stays.
    first = _up(start + _HEADER, _PAGE)
    # Where the blocks met, malloc wrote their sizes.
    _libc.madvise(first, end - first, mmap.MADV_DONTNEED)
    _join_pages()
    # Nor may the kernel put huge pages where memory was given back: it would grow again.
    begin = _begin()
    _libc.madvise(begin, _up(start + _OWN_BYTES, _HUGE) - begin, mmap.MADV_NOHUGEPAGE)


def _fill_holes() -> None:
    """Allocate, never to be freed, until every size comes from the top of the heap."""
    top, _ = _free_top()
    for size in _sizes():
        while (block := _libc.malloc(size)) is not None and block < top:
            pass
        _libc.free(block)


def _sizes() -> Iterator[int]:
    """Every size class, largest first: what is cut off a large hole is filled by a smaller block later."""
    size = _BLOCK
    while size > _SMALL:
        yield size
        size -= max(_GRAIN, size // 16)
    yield from range(_SMALL, 0, -_GRAIN)


def _join_pages() -> None:
    """Make huge pages of all anonymous memory that fills them well. Before Linux 6.1 nothing happens."""
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for start, end in _anonymous():
            for block in range(_up(start, _HUGE), end - _HUGE + 1, _HUGE):
                pagemap.seek(block // _PAGE * 8)
                entries = array.array("Q", pagemap.read(_HUGE // _PAGE * 8))
                if sum(entry >= _PRESENT for entry in entries) >= _WELL_FILLED:
                    _libc.madvise(block, _HUGE, _COLLAPSE)


def _anonymous() -> Iterator[tuple[int, int]]:
    """Where the writable memory begins and ends that is of no file: the heap's, and what was mapped."""
    for mapping in mappings.own():
        if "w" in mapping.access and not mapping.of_a_file and mapping.name in ("", mappings.HEAP):
            yield mapping.start, mapping.end


def _begin() -> int:
    return next(mapping.start for mapping in mappings.own() if mapping.name == mappings.HEAP)


def _free_top() -> tuple[int, int]:
    """Where the free memory above all blocks in use begins and ends."""
    end = int(_libc.sbrk(0))
    return end - int(_libc.mallinfo2().keepcost), end


def _up(address: int, unit: int) -> int:
    return -(-address // unit) * unit
