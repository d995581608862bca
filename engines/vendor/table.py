"""The table of the settings that describes a vendor's program.

    [engine.acme]
    adapter = "vendor"
    program = "/opt/acme/bin/ocr"             # absolute
    arguments = ["--in", "{image}", "--out", "{output}.xml"]
    format = "alto"                           # alto, hocr, abbyy-xml or tsv
    output = "{output}.xml"                   # the file it writes, or "stdout"
    reads = ["/opt/acme", "/usr/lib/x86_64-linux-gnu", "/lib64/ld-linux-x86-64.so.2"]
    licences = ["/etc/acme/licence.key"]
    languages = ["en"]

``{image}`` and ``{output}`` stand for paths in a folder that is made for the page and vanishes with it; ``{dpi}`` for
the page's resolution, `DEFAULT_DPI` where the document states none.
"""

from __future__ import annotations

import os
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from engines.errors import MissingError, OptionsError
from engines.vendor.formats import Format

STDOUT = "stdout"
DEFAULT_DPI = 300
_PLACEHOLDERS = frozenset({"image", "output", "dpi"})
_NUMBERS = ("longest_side", "shortest_side", "memory_bytes", "processes", "scratch_bytes")


class ImageWay(StrEnum):
    """How the page reaches the program."""

    FILE = "file"
    STDIN = "stdin"


class ImageFormat(StrEnum):
    """What the page is written as. PPM is the quickest, the others state the resolution too."""

    PNG = "png"
    PPM = "ppm"
    TIFF = "tiff"
    BMP = "bmp"


_CHOICES: Mapping[str, type[StrEnum]] = {"format": Format, "image": ImageWay, "image_format": ImageFormat}


@dataclass(frozen=True, slots=True)
class Table:
    """A table that has been checked. Raises `OptionsError` and `MissingError`.

    ``longest_side`` and ``shortest_side`` in px: larger pages are shrunk, smaller ones padded with white, for programs
    that would refuse them.
    """

    program: str
    arguments: tuple[str, ...]
    format: Format
    output: str = STDOUT
    image: ImageWay = ImageWay.FILE
    image_format: ImageFormat = ImageFormat.PNG
    version: str = "unknown"
    languages: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    longest_side: int = 32_000
    shortest_side: int = 16
    memory_bytes: int = 1 << 30
    processes: int = 8
    scratch_bytes: int = 512 << 20

    def __post_init__(self) -> None:
        for key in ("program", "reads", "licences"):
            value: str | tuple[str, ...] = getattr(self, key)
            for path in (value,) if isinstance(value, str) else value:
                if not path.startswith("/"):
                    raise OptionsError(f"{key}: {path!r} is not an absolute path")
                if not os.path.exists(path):
                    raise MissingError(f"{key}: there is no {path}; install it or mend the path")
        if not os.access(self.program, os.X_OK) or not os.path.isfile(self.program):
            raise MissingError(f"program: {self.program} can't be executed; name the program itself")
        for text in (*self.arguments, self.output):
            self._check_placeholders(text)
        if self.image is ImageWay.FILE and not any("{image}" in argument for argument in self.arguments):
            raise OptionsError('arguments: none holds {image}; add it, or set image = "stdin"')
        if self.output != STDOUT and "{output}" not in self.output:
            raise OptionsError(f'output: {self.output!r} is neither "stdout" nor holds {{output}}')
        for key in _NUMBERS:
            if getattr(self, key) <= 0:
                raise OptionsError(f"{key}: it is {getattr(self, key)}, and must be above 0")

    @staticmethod
    def _check_placeholders(text: str) -> None:
        try:
            names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        except ValueError as error:
            raise OptionsError(f"arguments: {text!r}: {error}; double braces that are meant as such") from None
        if names - _PLACEHOLDERS:
            raise OptionsError(f"arguments: {text!r} has a placeholder other than {{image}}, {{output}} and {{dpi}}")


def read(values: Mapping[str, object]) -> Table:
    """A table from the values of a TOML file. Raises `OptionsError` naming the key, and `MissingError`."""
    wanted = Table.__dataclass_fields__
    for key in values:
        if key not in wanted:
            raise OptionsError(f"{key}: no such key; there are: {', '.join(wanted)}")
    for key in ("program", "arguments", "format"):
        if key not in values:
            raise OptionsError(f"{key}: it is missing")
    return Table(**{key: _value(key, value) for key, value in values.items()})  # type: ignore[arg-type]


def _value(key: str, value: object) -> object:
    if key in _CHOICES:
        return _choice(_CHOICES[key], key, value)
    if key in ("arguments", "languages", "reads", "licences"):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise OptionsError(f"{key}: it is {value!r}, and must be a list of strings")
        return tuple(_typed(key, item, str) for item in value)
    if key == "environment":
        if not isinstance(value, Mapping):
            raise OptionsError(f"{key}: it is {value!r}, and must be a table of strings")
        return {_typed(key, name, str): _typed(key, item, str) for name, item in value.items()}
    return _typed(key, value, bool if key == "network" else int if key in _NUMBERS else str)


def _typed(key: str, value: object, kind: type) -> object:
    if type(value) is not kind:
        raise OptionsError(f"{key}: it is {value!r}, and must be of type {kind.__name__}")
    return value


def _choice(kind: type[StrEnum], key: str, value: object) -> StrEnum:
    try:
        return kind(str(value))
    except ValueError:
        raise OptionsError(f"{key}: it is {value!r}, and must be one of {', '.join(kind)}") from None
