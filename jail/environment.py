"""The environment a zygote starts in: nothing of the server's but the way to its modules."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

_GLIBC = {
    # Arrays come from the heap, and stay mapped when freed: a cell that has rehearsed finds its memory there.
    # glibc takes no higher threshold for mapping a block on its own, and ignores one without a word.
    "mmap_threshold": str(32 << 20),
    "trim_threshold": str(1 << 40),
    "top_pad": str(16 << 20),
    # The heap asks for huge pages: a fault for 2 MB instead of one for 4 KB.
    "hugetlb": "1",
}
_TUNABLES = ":".join(f"glibc.malloc.{name}={value}" for name, value in _GLIBC.items())


def zygote_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Variables for a zygote. One thread for the libraries that start theirs on import; ``extra`` comes last."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry),
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # TensorFlow imports Keras 3 where it is installed, unless told to take the one before, which is not: a third of
        # the start and of the memory, for layers that no cell uses.
        "TF_USE_LEGACY_KERAS": "1",
        "GLIBC_TUNABLES": _TUNABLES,
        **extra,
    }
