"""Small pictures that are hard on a flood, and one that looks like a page."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Kind = Callable[[np.random.Generator, int, int], Grey]


def page(height: int = 240, width: int = 320, text: str = "Receipt 42.50") -> Grey:
    """Dark text on light paper, light text on a dark bar, and some noise."""
    grey = np.full((height, width), 230, np.uint8)
    grey[-60:] = 40
    cv2.putText(grey, text, (10, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 30, 2, cv2.LINE_AA)
    cv2.putText(grey, text, (10, height - 20), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 220, 2, cv2.LINE_AA)
    noise = np.random.default_rng(7).normal(0, 4, grey.shape)
    return np.clip(grey + noise, 0, 255).astype(np.uint8)


def noise(rng: np.random.Generator, height: int, width: int) -> Grey:
    return rng.integers(0, 256, (height, width), dtype=np.uint8)


def few_levels(rng: np.random.Generator, height: int, width: int) -> Grey:
    return rng.integers(0, 4, (height, width), dtype=np.uint8) * np.uint8(85)


def bitonal(rng: np.random.Generator, height: int, width: int) -> Grey:
    return rng.integers(0, 2, (height, width), dtype=np.uint8) * np.uint8(255)


def smooth(rng: np.random.Generator, height: int, width: int) -> Grey:
    return cv2.GaussianBlur(noise(rng, height, width), (5, 5), 0).reshape(height, width)


def constant(rng: np.random.Generator, height: int, width: int) -> Grey:
    return np.full((height, width), rng.integers(0, 256), np.uint8)


def checkerboard(rng: np.random.Generator, height: int, width: int) -> Grey:
    low, high = rng.integers(0, 256, 2, dtype=np.uint8)
    return np.where(np.indices((height, width)).sum(0) % 2, low, high)


def comb(rng: np.random.Generator, height: int, width: int) -> Grey:
    """Teeth with every grey on the way down, in a level ground: the longest paths there are."""
    teeth = np.minimum(np.arange(height), 255).astype(np.uint8)[:, None]
    return np.where(np.arange(width) % 2, teeth, np.uint8(0))


KINDS: tuple[Kind, ...] = (
    noise,
    few_levels,
    bitonal,
    smooth,
    constant,
    checkerboard,
    comb,
)


@st.composite
def pictures(draw: st.DrawFn, longest: int = 10) -> Grey:
    """Of any kind, from 1x1 on, in any memory layout."""
    height, width = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grey = draw(st.sampled_from(KINDS))(rng, height, width)
    layout = draw(st.sampled_from(("rows", "columns", "flipped", "spread")))
    if layout == "columns":
        return np.asfortranarray(grey)
    if layout == "flipped":
        return grey[::-1, ::-1]
    if layout == "spread":
        return np.repeat(np.repeat(grey, 3, 0), 2, 1)[::3, ::2]
    return grey
