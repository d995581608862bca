"""The memory of this process as the kernel lists it; proc_pid_maps(5)."""

from __future__ import annotations

from dataclasses import dataclass

HEAP = "[heap]"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Addresses from ``start`` up to ``end``; ``access`` such as "rw-p"; ``name``: a file's path, "[heap]" and the
    like, or "" where there is none."""

    start: int
    end: int
    access: str
    of_a_file: bool
    name: str


def own() -> list[Mapping]:
    """Those of this process, by address."""
    with open("/proc/self/maps") as lines:
        return [_mapping(line) for line in lines]


def _mapping(line: str) -> Mapping:
    addresses, access, _, _, inode, *name = line.split(maxsplit=5)
    start, end = (int(address, 16) for address in addresses.split("-"))
    return Mapping(start, end, access, inode != "0", name[0].strip() if name else "")
