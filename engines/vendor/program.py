"""One run of a program on one page, in a folder of its own."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import BmpImagePlugin, Image, PngImagePlugin, PpmImagePlugin, TiffImagePlugin

from engines.api import Pixels
from engines.errors import ProgramError
from engines.vendor.table import DEFAULT_DPI, STDOUT, ImageFormat, ImageWay, Table

# Imported here, because a cell can't import what Pillow would otherwise load on first use.
PLUGINS = (BmpImagePlugin, PngImagePlugin, PpmImagePlugin, TiffImagePlugin)

_LARGEST_OUTPUT = 64 << 20
"""bytes"""
_STDIN, _STDOUT, _STDERR = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended: exit status (negative: the signal), what it wrote, and what it complained of."""

    status: int
    output: bytes
    complaints: bytes


def run(table: Table, pixels: Pixels, dpi: float | None) -> Finished:
    """Have the program read a page and wait for it; whoever called the cell into being bounds the time.

    Files lie in the system's folder for temporary ones, which in a cell is a tmpfs of its own. Raises `ProgramError`
    where the program can't be started or writes no output.
    """
    with tempfile.TemporaryDirectory(prefix="cloister-") as folder:
        image = os.path.join(folder, f"page.{table.image_format}")
        _write(pixels, image, table.image_format, dpi)
        names = {"image": image, "output": os.path.join(folder, "text"), "dpi": str(round(dpi or DEFAULT_DPI))}
        stdout, stderr = os.path.join(folder, "stdout"), os.path.join(folder, "stderr")
        # There is no /dev/null in a cell.
        nothing = os.path.join(folder, "nothing")
        Path(nothing).write_bytes(b"")
        stdin = image if table.image is ImageWay.STDIN else nothing
        status = _wait(
            table,
            [table.program, *(argument.format(**names) for argument in table.arguments)],
            {"PATH": "/usr/bin:/bin", "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", **table.environment},
            (stdin, stdout, stderr),
        )
        output = stdout if table.output == STDOUT else table.output.format(**names)
        return Finished(status, _read(output) if status == 0 else b"", _read(stderr)[-2000:])


def _wait(table: Table, arguments: list[str], environment: dict[str, str], streams: tuple[str, str, str]) -> int:
    stdin, stdout, stderr = streams
    new = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        pid = os.posix_spawn(
            table.program,
            arguments,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, _STDIN, stdin, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, _STDOUT, stdout, new, 0o600),
                (os.POSIX_SPAWN_OPEN, _STDERR, stderr, new, 0o600),
            ],
        )
    except OSError as error:
        raise ProgramError(f"{table.program} can't be started: {error.strerror}") from error
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _write(pixels: Pixels, path: str, format_: ImageFormat, dpi: float | None) -> None:
    grey = pixels.strides[2] == 0
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if grey else pixels))
    options: dict[str, object] = {} if dpi is None or format_ is ImageFormat.PPM else {"dpi": (dpi, dpi)}
    if format_ is ImageFormat.PNG:
        options["compress_level"] = 1
    image.save(path, format_.upper(), **options)


def _read(path: str) -> bytes:
    """A file that a program which may be hostile has made: only a plain one, and not past the limit."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise ProgramError(f"the program's output can't be opened: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(_LARGEST_OUTPUT + 1)
    if len(data) > _LARGEST_OUTPUT:
        raise ProgramError(f"the program wrote more than {_LARGEST_OUTPUT} bytes")
    return data
