"""Letters to chains, chains to lines: what is broken stays together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.scribe.detector.chains import joined
from engines.scribe.detector.fit import Lines
from engines.scribe.detector.lines import candidates
from engines.scribe.detector.regions import REGION

Box = tuple[int, int, int, int]


def letters(boxes: list[Box]) -> NDArray[np.void]:
    """Regions as letters of print have them."""
    out = np.zeros(len(boxes), REGION)
    for letter, box in zip(out, boxes, strict=True):
        for name, value in zip(("x0", "y0", "x1", "y1"), box, strict=True):
            letter[name] = value
    out["area"], out["perimeter"], out["contrast"] = 100, 60, 150
    return out


def test_a_letter_broken_in_two_halves_does_not_end_its_line() -> None:
    left = [(x, 100, x + 14, 122) for x in range(60, 140, 20)]
    right = [(x, 104, x + 14, 122) for x in range(160, 240, 20)]
    halves = [(139, 100, 156, 112), (140, 112, 156, 122)]  # each nearest to the letters on its side
    found = candidates(letters([*left, *halves, *right]))
    assert len(found) == 1
    assert (found.start[0], found.end[0]) == (60, 234)


def test_pieces_of_broken_letters_do_not_part_a_word() -> None:
    def chains(**given: tuple[float, float]) -> Lines:
        values = {name: np.zeros(2, np.float32) for name in Lines.__slots__} | {"light": np.zeros(2, np.bool_)}
        return Lines(**(values | {name: np.array(value, np.float32) for name, value in given.items()}))  # type: ignore[arg-type]

    # "CASHIER", of which C and pieces of A and S are one chain; their feet are half way up the letters
    pieces = chains(
        start=(131, 145), end=(170, 228), middle=(150, 186), base=(708, 715), rise=(15, 25), drop=(8, 1), size=(11, 24)
    )
    assert joined(pieces).tolist() == [0, 0]
    above = chains(
        start=(131, 145), end=(170, 228), middle=(150, 186), base=(700, 715), rise=(10, 25), drop=(0, 1), size=(10, 24)
    )
    assert joined(above).tolist() == [0, 1]


def test_low_signs_in_a_row_belong_to_it() -> None:
    words = [(x, 100, x + 14, 124) for start in (60, 580) for x in range(start, start + 240, 20)]
    stars = [(x, 108, x + 13, 121) for start in (316, 400, 484) for x in range(start, start + 64, 16)]
    found = candidates(letters([*words, *stars]))
    assert len(found) == 1
    assert found.rise[0] >= 22


def test_a_quote_behind_a_stop_belongs_to_the_line() -> None:
    word = [(x, 100 if x % 80 else 92, x + 14, 122) for x in range(60, 400, 20)]
    stop, quote = (404, 117, 410, 123), [(421, 91, 428, 103), (435, 91, 442, 103)]
    found = candidates(letters([*word, stop, *quote]))
    assert [(found.start[i], found.end[i]) for i in range(len(found))] == [(60, 442)]
