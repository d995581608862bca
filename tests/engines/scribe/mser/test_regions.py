from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.scribe.mser import regions
from tests.engines.scribe.mser import reference
from tests.engines.scribe.mser.pictures import page, pictures
from tests.engines.scribe.mser.test_trees import CONNECTIVITIES, STEPS, assert_equal, slowly


@slowly
@given(
    pictures(),
    st.fixed_dictionaries(
        {
            "connectivity": CONNECTIVITIES,
            "step": STEPS,
            "delta": st.integers(1, 40),
            "min_area": st.integers(1, 6),
            "max_area": st.none() | st.integers(1, 144),
            "max_variation": st.floats(0, 2),
            "min_diversity": st.floats(0, 1),
        }
    ),
)
def test_regions_equal_those_found_by_trying_every_threshold(grey: NDArray[np.uint8], options: dict[str, Any]) -> None:
    for ours, theirs in zip(regions(grey, **options), reference.regions(grey, **options), strict=True):
        assert_equal(ours, theirs)


def text(letters: str, ink: int, paper: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Letters apart from one another, without grey in between, and their boxes (x0, y0, x1, y1)."""
    drawn = np.zeros((80, 40 * len(letters)), np.uint8)
    for i, letter in enumerate(letters):
        cv2.putText(drawn, letter, (40 * i + 6, 55), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3)
    grey = np.where(drawn > 127, np.uint8(ink), np.uint8(paper))
    _, _, stats, _ = cv2.connectedComponentsWithStats((grey == ink).astype(np.uint8))
    x, y, w, h, _ = stats[1:].T
    return grey, np.stack([x, y, x + w, y + h], axis=1)


def boxes(nodes: NDArray[np.void]) -> set[tuple[int, ...]]:
    return set(zip(*(nodes[k].tolist() for k in ("x0", "y0", "x1", "y1")), strict=True))


LETTERS = "HamburgefonstTLKXYZ258"


@pytest.mark.parametrize("delta", [1, 5, 60])
def test_every_letter_of_a_bitonal_page_is_a_region(delta: int) -> None:
    grey, truth = text(LETTERS, 0, 255)
    dark, _ = regions(grey, delta=delta)
    assert boxes(dark) >= set(map(tuple, truth.tolist()))
    assert np.all(dark["variation"] == 0)


def test_every_letter_of_a_bitonal_negative_is_a_region() -> None:
    grey, truth = text(LETTERS, 255, 0)
    assert boxes(regions(grey)[1]) >= set(map(tuple, truth.tolist()))


@pytest.mark.parametrize("sigma", [0.7, 1.2])
def test_blurred_and_noisy_letters_are_regions_near_their_boxes(sigma: float) -> None:
    grey, truth = text(LETTERS, 60, 200)
    blurred = cv2.GaussianBlur(grey, (0, 0), sigma).astype(np.float64)
    noisy = np.clip(blurred + np.random.default_rng(5).normal(0, 4, grey.shape), 0, 255).astype(np.uint8)
    found = np.array(sorted(boxes(regions(noisy)[0])))
    distance = np.abs(found[None] - truth[:, None]).max(axis=2).min(axis=1)
    assert distance.max() <= 2


def test_a_letter_and_the_grey_box_it_stands_in_are_both_regions() -> None:
    grey = np.full((60, 90), 255, np.uint8)
    grey[10:50, 10:80] = 128
    grey[20:40, 40:46] = 0
    dark, _ = regions(grey)
    assert [(r["area"], r["parent"]) for r in dark] == [(70 * 40, -1), (6 * 20, 0)]


def test_of_two_regions_alike_the_larger_stays() -> None:
    grey = np.full((60, 60), 255, np.uint8)
    grey[10:40, 10:40] = 128
    grey[11:39, 11:39] = 0
    assert [r["area"] for r in regions(grey, min_diversity=0.2)[0]] == [30 * 30]
    assert [r["area"] for r in regions(grey, min_diversity=0.1)[0]] == [30 * 30, 28 * 28]


def test_regions_are_found_by_size() -> None:
    grey, _ = text(LETTERS, 0, 255)
    dark, _ = regions(grey, min_area=300, max_area=500)
    assert len(dark) > 0
    assert 300 <= dark["area"].min() <= dark["area"].max() <= 500


def test_a_page_gives_its_letters_in_both_polarities() -> None:
    dark, light = regions(page())
    for nodes, rows in ((dark, slice(30, 70)), (light, slice(190, 230))):
        inside = (nodes["y0"] >= rows.start) & (nodes["y1"] <= rows.stop) & (nodes["y1"] - nodes["y0"] > 12)
        assert inside.sum() >= len("Receipt42.50") - 1
