"""From strips of characters to lines of words: where words begin and end, what is noise, where each stands."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from engines.api import Line, Quad, Word
from engines.scribe.recogniser.port import COLUMNS
from engines.scribe.windows import Reading, Windows
from engines.scribe.wordinator.buckets import START, Buckets
from engines.scribe.wordinator.candidates import Candidate, candidates
from engines.scribe.wordinator.lexicon import lexicon
from engines.scribe.wordinator.noise import noise
from engines.scribe.wordinator.places import quads
from engines.scribe.wordinator.quotes import paired
from engines.scribe.wordinator.repair import Doubt, Verdict, repaired
from engines.scribe.wordinator.stitch import stitched
from engines.scribe.wordinator.trace import Decision
from engines.trace import Act


def words(
    windows: Windows, readings: Sequence[Reading], buckets: Buckets = START
) -> tuple[tuple[Line, ...], tuple[Decision, ...]]:
    """The lines of words that ``readings`` of ``windows`` spell, in reading order, and each decision on the way.

    ``buckets`` are those of the weights that read.
    """
    trace: list[Decision] = []
    given = list(readings)
    if not given:
        return (), ()
    starts = np.flatnonzero(np.concatenate([[True], windows.line[1:] != windows.line[:-1]]))
    found = [
        one
        for members in np.split(np.arange(len(given)), starts[1:])
        if any(given[place].text for place in members)
        for one in candidates(stitched(windows, given, members, trace), trace)
    ]
    sound = []
    for one, is_noise in zip(found, noise(found, buckets, lexicon()), strict=True):
        if is_noise:
            trace.append(Decision(Act.DROP, one.strip.line, one.fired[0], one.text, one.confidence, one.fired[1]))
        else:
            sound.append(one)
    verdicts = repaired([_doubt(one, windows, given, buckets.sure) for one in sound], lexicon())
    said = [_settled(*pair, trace) for pair in zip(sound, verdicts, strict=True)]
    said = _quoted(sound, said, trace)
    strips = []
    for line, group in groupby(range(len(sound)), key=lambda place: sound[place].strip.line):
        members = list(group)
        placed = quads(windows.rails[line], [sound[place] for place in members])
        strips.append(
            [
                Word(said[place][0], said[place][1] ** (1 / buckets.temperature), quad)
                for place, quad in zip(members, placed, strict=True)
            ]
        )
    return tuple(_lines(strips)), tuple(trace)


def _settled(one: Candidate, verdict: Verdict | None, trace: list[Decision]) -> tuple[str, float]:
    """The text of a word and its probability."""
    if verdict is None:
        return one.text, one.confidence
    return _repaired(one, one.text, verdict.text, verdict.probability, trace)


def _quoted(sound: list[Candidate], said: list[tuple[str, float]], trace: list[Decision]) -> list[tuple[str, float]]:
    """Texts and probabilities again, with a page's quotes in pairs."""
    texts = paired([text for text, _ in said])
    return [
        (was, probability) if was == text else _repaired(one, was, text, probability, trace)
        for one, (was, probability), text in zip(sound, said, texts, strict=True)
    ]


def _repaired(one: Candidate, was: str, text: str, probability: float, trace: list[Decision]) -> tuple[str, float]:
    first, last = one.fired
    trace.append(Decision(Act.REPAIR, one.strip.line, first, f"{was} {text}", probability, last))
    return text, probability


def _doubt(one: Candidate, windows: Windows, readings: Sequence[Reading], sure: float) -> Doubt | None:
    """What there is to repair a word by; None where the net was ``sure``, or where no one window holds all of it."""
    strip, first, last = one.strip, int(one.characters[0]), int(one.characters[-1])
    place = int(strip.places[first])
    given = readings[place].log_probabilities
    if given is None or strip.places[last] != place or one.confidence >= sure:
        return None
    steps = ((strip.columns - windows.offset[place]) / COLUMNS).astype(np.intp)
    begin, end = 0, len(given)
    if first and strip.places[first - 1] == place:
        begin = int(steps[first - 1] + steps[first] + 1) // 2
    if last + 1 < len(steps) and strip.places[last + 1] == place:
        end = int(steps[last] + steps[last + 1]) // 2 + 1
    before, after = strip.text[:first], strip.text[last + 1 :]
    return Doubt(one.text, given[begin:end], steps[one.characters] - begin, before, after)


def _lines(strips: list[list[Word]]) -> list[Line]:
    """Strips, in reading order, as lines: those that stand side by side on one baseline are one line."""
    lean = _lean(strips)
    out: list[list[Word]] = []
    for its_words in strips:
        if out and _same_line(out[-1][-1].quad, its_words[0].quad, lean):
            out[-1].extend(its_words)
        else:
            out.append(list(its_words))
    return [Line(tuple(its_words), _around(its_words)) for its_words in out]


def _lean(strips: list[list[Word]]) -> float:
    """How far the lines fall, px for each px along: the median of the longer half, which lean least by chance."""
    if not strips:
        return 0.0
    ends = [(its_words[0].quad.top_left, its_words[-1].quad.top_right) for its_words in strips]
    runs = np.array([right[0] - left[0] for left, right in ends])
    falls = np.array([right[1] - left[1] for left, right in ends])
    long = runs >= max(1.0, float(np.median(runs)))
    return float(np.median(falls[long] / runs[long])) if long.any() else 0.0


def _same_line(left: Quad, right: Quad, lean: float) -> bool:
    """True where the right quad goes on where the left one ends, at the height that ``lean`` leads to past the gap."""
    fall = lean * (right.top_left[0] - left.top_right[0])
    top, bottom = left.top_right[1] + fall, left.bottom_right[1] + fall
    other_top, other_bottom = right.top_left[1], right.bottom_left[1]
    shared = min(bottom, other_bottom) - max(top, other_top)
    small = min(bottom - top, other_bottom - other_top)
    return shared >= 0.6 * small and right.top_left[0] >= left.top_right[0] - small / 2


def _around(its_words: list[Word]) -> Quad:
    first, last = its_words[0].quad, its_words[-1].quad
    return Quad(first.top_left, last.top_right, last.bottom_right, first.bottom_left)
