"""Policies as compiled, in plain text: what the kernel will run, for reviewers to see change.

``python -m jail.dump`` writes the files in ``jail/policy/compiled`` anew; with ``--check`` it says which do not hold.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from jail import bpf, policy
from jail.bpf import Program
from jail.lint import own_policies
from jail.seccomp import compile_filters
from jail.violations import call_name

COMPILED = Path(__file__).parent / "policy" / "compiled"


class _Version(ctypes.Structure):
    """``struct scmp_version``."""

    _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))


def libseccomp_version() -> str:
    """Of the library that compiles: another may order instructions otherwise, to the same effect."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_version.restype = ctypes.POINTER(_Version)
    version = library.seccomp_version().contents
    return f"{version.major}.{version.minor}.{version.micro}"


def dump(path: Path) -> str:
    """A policy's two filters, an instruction a line. Raises `PolicyError`."""
    filters = compile_filters(policy.read(path))
    lines = [
        f"# {path.name}, compiled by libseccomp {libseccomp_version()} for {bpf.Architecture.X86_64.name.lower()}",
        *_section("first: from the set-up on, whatever the policy does not name", filters.first),
        *_section("second: from the cell's being ready on, beside the first; the severer answer holds", filters.second),
    ]
    return "\n".join(lines) + "\n"


def _section(title: str, program: Program) -> Iterator[str]:
    yield ""
    yield f"# {title} ({len(program)} instructions)"
    yield from bpf.disassemble(program, call_name)


def golden(path: Path) -> Path:
    """The file that holds what a policy of ours compiles to."""
    return COMPILED / f"{path.stem}.txt"


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    changed = []
    for path in own_policies():
        text, kept = dump(path), golden(path)
        if kept.exists() and kept.read_text() == text:
            continue
        changed.append(kept.name)
        if "--check" not in arguments:
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(text)
    print(f"compiled policies: {', '.join(changed) + ' changed' if changed else 'none changed'}")
    return 1 if changed and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
