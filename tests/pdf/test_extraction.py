"""What a hidden layer holds comes out word by word, where the ink is, in every program that reads PDFs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest

from engines.api import Word
from tests.pdf.readers import QUICK, SLOW, Box, Reader, Seen
from tests.pdf.specimen import Layout, Specimen, make

GAPS = (0.08, 0.3, 5.0)
SKEWS = (0.0, 1.0, 5.0)
TURNS = (0, 90, 180, 270)
PLACES = (
    {"origin": (-100.0, 50.0)},
    {"origin": (100.0, -70.0), "crop": 10.0},
    {"unit": 2.0},
    {"unit": 0.5, "origin": (30.0, 30.0)},
)
LEAST_F1 = 0.995
LEAST_F1_OF_POPPLERS_LINES = 0.99
"""Poppler sets words into lines by itself, and glues a long word to its neighbour on some pages at 5 degrees."""
MOST_OFF_PX = 2.0
"""At 150 dpi."""

WHOLE = [
    Layout(gap=gap, letters=letters, skew=skew, turn=turn, **place)
    for gap in GAPS
    for letters in (False, True)
    for skew in SKEWS
    for turn in TURNS
    for place in ({}, *PLACES)
]
CORE = [
    *(Layout(gap=gap, letters=letters) for gap in GAPS for letters in (False, True)),
    *(Layout(skew=skew, gap=gap) for skew in (-3.0, 0.4, 1.0, 5.0) for gap in (0.08, 0.3)),
    *(Layout(turn=turn, skew=1.0) for turn in TURNS[1:]),
    *(Layout(turn=90, **place) for place in PLACES),
]


def f1(words: Sequence[Word], seen: Sequence[Seen]) -> float:
    wanted, found = Counter(word.text for word in words), Counter(word.text for word in seen)
    return 2 * (wanted & found).total() / (wanted.total() + found.total())


def worst_offset(specimen: Specimen, seen: Sequence[Seen]) -> float:
    """Of each word's edges from the nearest box of the same text, the furthest: px at 150 dpi."""
    boxes: dict[str, list[Box]] = defaultdict(list)
    for word in seen:
        if word.box is not None:
            boxes[word.text].append(word.box)
    size = (specimen.width, specimen.height, specimen.width, specimen.height)
    worst = 0.0
    for word in specimen.words:
        quad = word.quad
        corners = (quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left)
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        edges = (min(xs), min(ys), max(xs), max(ys))
        offsets = [
            max(abs(edge - share * scale) for edge, share, scale in zip(edges, box, size, strict=True))
            for box in boxes[word.text]
        ]
        if offsets:
            worst = max(worst, min(offsets) * 150 / specimen.dpi)
    return worst


def check(reader: Reader, layout: Layout) -> None:
    if reader.name == "pdfminer" and layout.skew:
        return  # It reads upright text alone.
    specimen = make(layout)
    seen = reader.read(specimen.pdf)
    assert f1(specimen.words, seen) >= (LEAST_F1_OF_POPPLERS_LINES if reader.name == "poppler-plain" else LEAST_F1)
    if any(word.box for word in seen) and not (reader.name == "poppler" and layout.skew):
        assert worst_offset(specimen, seen) <= MOST_OFF_PX


def _or_skip(reader: Reader) -> Reader:
    if reader.lacks is not None:
        pytest.skip(f"{reader.name} needs {reader.lacks}")
    return reader


@pytest.mark.parametrize("layout", CORE, ids=str)
@pytest.mark.parametrize("reader", [*QUICK, *SLOW], ids=lambda reader: reader.name)
def test_words_come_out_as_they_went_in(reader: Reader, layout: Layout) -> None:
    check(_or_skip(reader), layout)


@pytest.mark.slow
@pytest.mark.parametrize("reader", [*QUICK, *SLOW], ids=lambda reader: reader.name)
def test_words_come_out_of_every_layout(reader: Reader) -> None:
    """The whole matrix: 360 pages a reader."""
    _or_skip(reader)
    failed = []
    for layout in WHOLE:
        try:
            check(reader, layout)
        except AssertionError as error:
            failed.append(f"{layout}: {str(error).splitlines()[0]}")
    assert not failed, f"{len(failed)} of {len(WHOLE)}: " + "; ".join(failed[:10])
