"""The server's own memory: given back when it is not needed any more."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 256 << 10


def give_back_large_blocks() -> None:
    """Have malloc map documents and replies on their own, so that their memory returns to the system when they go.

    Left to itself, glibc raises the size from which it does so to that of the largest block freed, 32 MB at most
    (mallopt(3)); what came before then stays in the heap, in pieces. Elsewhere than on glibc this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
