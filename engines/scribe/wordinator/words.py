"""From strips of characters to lines of words: where words begin and end, what is noise, where each stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.api import Line, Quad, Word
from engines.scribe.detector.strips import MARGIN
from engines.scribe.recogniser.port import COLUMNS
from engines.scribe.windows import HEIGHT, Rails, Reading, Windows
from engines.scribe.wordinator.buckets import START, Buckets
from engines.scribe.wordinator.lexicon import lexicon
from engines.scribe.wordinator.repair import Doubt, Verdict, repaired
from engines.scribe.wordinator.spaces import breaks, gaps
from engines.scribe.wordinator.stitch import Strip, stitched
from engines.scribe.wordinator.trace import Decision
from engines.trace import Act

INK_TOP = HEIGHT * MARGIN / (1 + 2 * MARGIN)
"""Row of a strip at which its line's ink begins; it ends as far from the other edge."""


def words(
    windows: Windows, readings: Sequence[Reading], buckets: Buckets = START
) -> tuple[tuple[Line, ...], tuple[Decision, ...]]:
    """The lines of words that ``readings`` of ``windows`` spell, in reading order, and each decision on the way.

    ``buckets`` are those of the weights that read.
    """
    trace: list[Decision] = []
    found: list[list[Word]] = []
    doubts: list[Doubt | None] = []
    where: list[tuple[int, float, float]] = []
    given = list(readings)
    if not given:
        return (), ()
    starts = np.flatnonzero(np.concatenate([[True], windows.line[1:] != windows.line[:-1]]))
    for members in np.split(np.arange(len(given)), starts[1:]):
        if not any(given[place].text for place in members):
            continue
        strip = stitched(windows, given, members, trace)
        if its_words := _words(strip, windows.rails[strip.line], buckets, trace):
            found.append([word for word, _ in its_words])
            doubts += [_doubt(strip, chosen, windows, given, buckets.sure) for _, chosen in its_words]
            where += [(strip.line, *strip.columns[chosen[[0, -1]]].tolist()) for _, chosen in its_words]
    verdicts = iter(zip(repaired(doubts, lexicon()), where, strict=True))
    sound = [
        [_calibrated(_settled(word, *next(verdicts), trace), buckets.temperature) for word in its_words]
        for its_words in found
    ]
    return tuple(_lines(sound)), tuple(trace)


def _settled(word: Word, verdict: Verdict | None, where: tuple[int, float, float], trace: list[Decision]) -> Word:
    if verdict is None:
        return word
    line, first, last = where
    trace.append(Decision(Act.REPAIR, line, first, f"{word.text} {verdict.text}", verdict.probability, last))
    return replace(word, text=verdict.text, confidence=verdict.probability)


def _calibrated(word: Word, temperature: float) -> Word:
    return word if temperature == 1 else replace(word, confidence=word.confidence ** (1 / temperature))


def _doubt(
    strip: Strip, chosen: NDArray[np.intp], windows: Windows, readings: Sequence[Reading], sure: float
) -> Doubt | None:
    """What there is to repair the word of the characters ``chosen`` by; None where the net was ``sure``, or where no
    one window holds all of it."""
    first, last = int(chosen[0]), int(chosen[-1])
    place = int(strip.places[first])
    given = readings[place].log_probabilities
    if given is None or strip.places[last] != place or strip.probabilities[chosen].prod() >= sure:
        return None
    steps = ((strip.columns - windows.offset[place]) / COLUMNS).astype(np.intp)
    begin, end = 0, len(given)
    if first and strip.places[first - 1] == place:
        begin = int(steps[first - 1] + steps[first] + 1) // 2
    if last + 1 < len(steps) and strip.places[last + 1] == place:
        end = int(steps[last] + steps[last + 1]) // 2 + 1
    return Doubt("".join(strip.text[i] for i in chosen), given[begin:end], steps[chosen] - begin)


def _words(strip: Strip, rail: Rails, buckets: Buckets, trace: list[Decision]) -> list[tuple[Word, NDArray[np.intp]]]:
    """The words of a strip, each with the places of its characters in the strip's text."""
    space = np.array([character.isspace() for character in strip.text], np.bool_)
    letters = np.flatnonzero(~space)
    if not len(letters):
        return []
    columns = strip.columns[letters]
    seen = letters[1:] - letters[:-1] > 1
    blanks = gaps(strip.ink)
    lasts = [*np.flatnonzero(breaks(strip, letters, seen, blanks, trace)).tolist(), len(letters) - 1]
    texts: list[str] = []
    confidences: list[float] = []
    places: list[NDArray[np.intp]] = []
    extents: list[tuple[float, float]] = []
    first = 0
    for last in lasts:
        chosen = letters[first : last + 1]
        text = "".join(strip.text[i] for i in chosen)
        confidence = min(1.0, float(np.prod(strip.probabilities[chosen], dtype=np.float64)))
        if evidence(text, confidence) < (buckets.noise_short if len(text) == 1 else buckets.noise):
            trace.append(Decision(Act.DROP, strip.line, float(columns[first]), text, confidence, float(columns[last])))
        else:
            before = float(columns[first - 1]) if first else -1.0
            after = float(columns[last + 1]) if last + 1 < len(letters) else len(strip.ink) + 1.0
            texts.append(text)
            confidences.append(confidence)
            places.append(chosen)
            extents.append(
                _extent(blanks, (float(columns[first]), float(columns[last])), (before, after), len(strip.ink))
            )
        first = last + 1
    if not texts:
        return []
    quads = _quads(rail, extents)
    made = (Word(*parts) for parts in zip(texts, confidences, quads, strict=True))
    return list(zip(made, places, strict=True))


def evidence(text: str, confidence: float) -> float:
    """What is held against the buckets' noise: long words gather more doubt on their way, but are rarely noise."""
    return float(confidence ** (1 / len(text) ** 0.5))


def _extent(
    blanks: tuple[NDArray[np.intp], NDArray[np.intp]],
    fired: tuple[float, float],
    neighbours: tuple[float, float],
    length: int,
) -> tuple[float, float]:
    """Where the ink of a word begins and ends, whose first and last characters fired at the columns ``fired``.

    The word is bounded by the widest ``blanks`` to its left and right, short of the ``neighbours``' characters.
    """
    starts, ends = blanks
    (first, last), (before, after) = fired, neighbours
    left, right = max(0.0, (before + first) / 2), min(float(length), (last + after) / 2)
    middle = (starts + ends) / 2
    a, b = np.searchsorted(middle, (before, first))
    if a < b:
        left = float(ends[a + np.argmax((ends - starts)[a:b])])
    a, b = np.searchsorted(middle, (last, after))
    if a < b:
        right = float(starts[a + np.argmax((ends - starts)[a:b])])
    left, right = min(left, first), max(right, last)
    return max(0.0, left), min(float(length), max(right, left + 1.0))


def _quads(rail: Rails, extents: list[tuple[float, float]]) -> list[Quad]:
    """The page's px of strip columns left to right of each of ``extents``, over the height of the line's ink."""
    top, bottom = rail.at(np.array(extents, np.float32).ravel())
    part = (bottom - top) * np.float32(INK_TOP / HEIGHT)
    upper, lower = (top + part).tolist(), (bottom - part).tolist()
    return [
        Quad(tuple(upper[i]), tuple(upper[i + 1]), tuple(lower[i + 1]), tuple(lower[i]))
        for i in range(0, len(upper), 2)
    ]


def _lines(strips: list[list[Word]]) -> list[Line]:
    """Strips, in reading order, as lines: those that stand side by side on one baseline are one line."""
    out: list[list[Word]] = []
    for its_words in strips:
        if out and _same_line(out[-1][-1].quad, its_words[0].quad):
            out[-1].extend(its_words)
        else:
            out.append(list(its_words))
    return [Line(tuple(its_words), _around(its_words)) for its_words in out]


def _same_line(left: Quad, right: Quad) -> bool:
    """True where the right quad goes on where the left one ends, at about the same height."""
    top, bottom = left.top_right[1], left.bottom_right[1]
    other_top, other_bottom = right.top_left[1], right.bottom_left[1]
    shared = min(bottom, other_bottom) - max(top, other_top)
    small = min(bottom - top, other_bottom - other_top)
    return shared >= 0.6 * small and right.top_left[0] >= left.top_right[0] - small / 2


def _around(its_words: list[Word]) -> Quad:
    first, last = its_words[0].quad, its_words[-1].quad
    return Quad(first.top_left, last.top_right, last.bottom_right, first.bottom_left)
