"""Strips drawn from hooks, what a net would read of them, and their windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.scribe.windows import HEIGHT, STEP, WIDTH, Rails, Reading, Windows

LETTER, GAP, SPACE, THIN_SPACE = 10, 3, 9, 2
"""Columns of a letter's ink, between letters, and what a space and a thin space add."""
THIN = "\N{THIN SPACE}"


class Strip:
    """Letters drawn as hooks, so that each has its columns; lies at twice the strip's scale on the page, whose lines
    ``lean``, px down for each px along."""

    def __init__(
        self,
        text: str,
        y: float = 100.0,
        x: float = 0.0,
        space: int = SPACE,
        thin: int = THIN_SPACE,
        *,
        height: float = 2 * HEIGHT,
        lean: float = 0.0,
    ) -> None:
        self.text = text
        self.centres: list[float] = []
        at = 8
        bars = []
        for character in text:
            if character in (" ", THIN):
                wide = space if character == " " else thin
                self.centres.append(at + wide / 2)
                at += wide
            else:
                bars.append(at)
                self.centres.append(at + LETTER / 2)
                at += LETTER + GAP
        self.columns = at + 8
        self.pixels = np.full((HEIGHT, self.columns), 240, np.uint8)
        for bar in bars:
            self.pixels[4:-4, bar : bar + 3] = 20
            self.pixels[4:8, bar : bar + LETTER] = 20
        points = np.arange(-(-self.columns // STEP) + 1, dtype=np.float32) * STEP * 2 + np.float32(x)
        top = y + lean * points
        self.rails = Rails(
            top=np.stack([points, top], axis=1),
            bottom=np.stack([points, top + np.float32(height)], axis=1),
            columns=self.columns,
        )

    def read(self, start: int, end: int, *, blind: str = "", probability: float = 0.95) -> Reading:
        """What a net that is blind to some characters sees from column ``start`` to ``end``."""
        seen = [
            (character, centre - start)
            for character, centre in zip(self.text, self.centres, strict=True)
            if start <= centre < end and character not in blind
        ]
        while seen and seen[0][0] == " ":
            seen.pop(0)
        while seen and seen[-1][0] == " ":
            seen.pop()
        return Reading(
            text="".join(character for character, _ in seen),
            columns=np.array([centre for _, centre in seen], np.float32),
            probabilities=np.full(len(seen), probability, np.float32),
            confidence=probability,
        )


def cut(*strips: tuple[Strip, list[tuple[int, int]]]) -> Windows:
    """Windows of strips, each with its (offset, end) cuts."""
    pixels: list[NDArray[np.uint8]] = []
    line, offset, width = [], [], []
    for number, (strip, cuts) in enumerate(strips):
        for start, end in cuts:
            window = np.full((HEIGHT, WIDTH), 240, np.uint8)
            window[:, : end - start] = strip.pixels[:, start:end]
            pixels.append(window)
            line.append(number)
            offset.append(start)
            width.append(end - start)
    return Windows(
        np.stack(pixels),
        np.array(line, np.int32),
        np.array(offset, np.int32),
        np.array(width, np.int32),
        tuple(strip.rails for strip, _ in strips),
    )
