"""What the header of an executable says of the program that starts it (System V ABI, "Program Header")."""

from __future__ import annotations

import struct
from pathlib import Path

from jail.errors import SpecError

_MAGIC = b"\x7fELF\x02\x01"
"""64 bits, little-endian: all that cells run on."""
_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_INTERPRETER = 3
_LONGEST_PATH = 4096


def interpreter(path: str) -> str | None:
    """The dynamic loader that the kernel starts with the program at ``path``; None for a static one.

    Raises `SpecError` where it is no executable of this kind: a script starts other programs, which a cell must not.
    """
    try:
        with Path(path).open("rb") as file:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size or not header.startswith(_MAGIC):
                raise SpecError(f"{path} is not a 64-bit ELF executable; name the program that its script starts")
            _, _, _, _, table, _, _, _, size, count, _, _, _ = _HEADER.unpack(header)
            for number in range(count):
                file.seek(table + number * size)
                kind, _, offset, _, _, length, _, _ = _SEGMENT.unpack(file.read(_SEGMENT.size))
                if kind == _INTERPRETER and length <= _LONGEST_PATH:
                    file.seek(offset)
                    return file.read(length).rstrip(b"\0").decode()
    except OSError as error:
        raise SpecError(f"{path} can't be read: {error.strerror}") from error
    except (struct.error, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is damaged: {error}") from error
    return None
