"""Documents of every format, damaged in ways that parsers mistake.

``python -m tests.escape.mutants SEED NUMBER > FILE`` writes one anew, as a test that failed by it names it.
"""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Iterator, Sequence

from PIL import Image

from engines.documents import specimen

_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MOST_CHANGES = 6


def seeds() -> list[bytes]:
    """Small and whole, one of each kind that is read."""
    page = Image.fromarray(specimen.receipt(60, 90, text_px=12))
    kinds: list[tuple[Image.Image, dict[str, object]]] = [
        (page, {"format": "PNG"}),
        (page.convert("P"), {"format": "PNG"}),
        (page, {"format": "JPEG"}),
        (page, {"format": "JPEG", "progressive": True}),
        (page.convert("CMYK"), {"format": "JPEG"}),
        (page, {"format": "WEBP", "lossless": True}),
        (page, {"format": "WEBP"}),
        (page, {"format": "BMP"}),
        (page, {"format": "TIFF", "compression": "tiff_lzw"}),
        (page, {"format": "TIFF", "compression": "jpeg"}),
        (page.convert("1"), {"format": "TIFF", "compression": "group4"}),
        (page.convert("1"), {"format": "TIFF", "save_all": True, "append_images": [page.convert("1")]}),
        (page, {"format": "PDF"}),
        (page.convert("1"), {"format": "PDF"}),
    ]
    return [_saved(image, options) for image, options in kinds]


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """As many, each the same for the same ``seed`` and its number, whatever came before it."""
    whole = seeds()
    for number in range(count):
        yield mutant(whole, seed, number)


def mutant(whole: Sequence[bytes], seed: int, number: int) -> bytes:
    """One of the `mutants` of ``whole``."""
    chance = random.Random(f"{seed} {number}")
    return _mutated(chance, chance.choice(whole), chance.choice(whole))


def _mutated(chance: random.Random, document: bytes, other: bytes) -> bytes:
    found = bytearray(document)
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        # Headers and tables are where the numbers are.
        end = min(len(found), 200) if chance.random() < 0.6 else len(found)
        at = chance.randrange(max(end, 1))
        match chance.randrange(7):
            case 0:
                found[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                found[at : at + 1] = bytes([found[at] ^ 1 << chance.randrange(8)]) if found else b"x"
            case 2:
                size = chance.choice((1, 2, 4))
                value = chance.choice(_EDGES) & (1 << 8 * size) - 1
                found[at : at + size] = value.to_bytes(size, chance.choice(("big", "little")))
            case 3:
                del found[at : at + chance.randint(1, 64)]
            case 4:
                found[at:at] = found[at : at + chance.randint(1, 64)]
            case 5:
                found[at:] = other[at:]
            case 6:
                del found[at:]
    return bytes(found)


def _saved(image: Image.Image, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.stdout.buffer.write(mutant(seeds(), *map(int, sys.argv[1:])))
