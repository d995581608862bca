"""Tells a file's format and, where a library would allocate first, its size, from the first bytes alone."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """Formats that are read; the values are Pillow's names."""

    PNG = "PNG"
    JPEG = "JPEG"
    TIFF = "TIFF"
    WEBP = "WEBP"
    BMP = "BMP"


_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"\xff\xd8\xff", Format.JPEG),
    (b"II*\x00", Format.TIFF),
    (b"MM\x00*", Format.TIFF),
    (b"II+\x00", Format.TIFF),
    (b"MM\x00+", Format.TIFF),
    (b"BM", Format.BMP),
)
_NOT_READ = (
    (b"GIF8", "a GIF"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"PK\x03\x04", "a ZIP archive (or an office document)"),
    (b"<svg", "an SVG"),
    (b"<?xml", "an XML file"),
    (b"<html", "a web page"),
    (b"<!DOC", "a web page"),
)


def detect(body: bytes) -> Format | None:
    """The format that ``body`` begins like, None for any other."""
    for signature, format_ in _SIGNATURES:
        if body.startswith(signature):
            return format_
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return Format.WEBP
    return None


def is_pdf(body: bytes) -> bool:
    """Whether ``body`` is a PDF: its header may follow other bytes (ISO 32000-1, annex H, note 13)."""
    return detect(body) is None and b"%PDF-" in body[:1024]


def describe_other(body: bytes) -> str | None:
    """What a file that is not read here seems to be, for the error message; None if there is no telling."""
    if body[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file"
    return next((name for signature, name in _NOT_READ if body.startswith(signature)), None)


def webp_size(body: bytes) -> tuple[int, int] | None:
    """Width and height in px of a WebP file (RFC 9649, section 2), None where the header is broken.

    libwebp allocates the whole canvas when it opens a file, so the size must be known before.
    """
    kind, chunk = body[12:16], body[20:30]
    if len(chunk) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(chunk[4:7], "little") + 1, int.from_bytes(chunk[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(chunk[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(chunk[6:8], "little") & 0x3FFF, int.from_bytes(chunk[8:10], "little") & 0x3FFF
    return None
