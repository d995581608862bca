"""The numbers the net's convolutions are computed in: bfloat16 where the CPU has it, which halves their time."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_FLAGS = {"avx512_bf16", "amx_bf16"}
"""Without one of these bfloat16 is emulated, and slower than float32."""


class Precision(StrEnum):
    """What convolutions and the head multiply in; sums and the LSTM are float32 in both."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def fastest(cpuinfo: Path = _CPUINFO) -> Precision:
    """The quicker one on this machine's CPU; float32 where nothing is known of it."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return Precision.FLOAT32
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return Precision.FLOAT32 if _FLAGS.isdisjoint(flags) else Precision.BFLOAT16
