"""What a net misreads: which characters it takes for which, and the lines themselves, with their crops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from engines.scribe.recogniser.reader import Recogniser
from engines.scribe.training.lab.crops import Sample
from engines.scribe.training.lab.reading import read
from engines.scribe.windows import HEIGHT
from engines.scribe.wordinator.buckets import Buckets

_WIDEST = 1200
_ROW = HEIGHT + 22
_GAP = 12
_MOST_PAIRS = 40


@dataclass(frozen=True, slots=True)
class Misreading:
    """A sample, truth and text as they are compared, how sure the least sure word was, and the edits between them:
    (of the truth, read), an empty one being nothing."""

    sample: Sample
    truth: str
    text: str
    confidence: float
    edits: tuple[tuple[str, str], ...]

    @property
    def share(self) -> float:
        """Edits for each character of the truth."""
        return len(self.edits) / max(1, len(self.truth))


def misreadings(net: Recogniser, samples: Sequence[Sample], buckets: Buckets) -> list[Misreading]:
    """Of ``samples`` those that are not read right."""
    lines = [line for part in read(net, [sample.strip for sample in samples]) for line in part.words(buckets)]
    found = []
    for sample, line in zip(samples, lines, strict=True):
        truth, text = sample.compared(" ".join(word.text for word in line))
        if truth != text:
            confidence = min((word.confidence for word in line), default=0.0)
            found.append(Misreading(sample, truth, text, confidence, tuple(_edits(truth, text))))
    return found


def _edits(truth: str, text: str) -> Iterator[tuple[str, str]]:
    for operation in Levenshtein.editops(truth, text):
        gone, come = truth[operation.src_pos : operation.src_pos + 1], text[operation.dest_pos : operation.dest_pos + 1]
        yield ("" if operation.tag == "insert" else gone, "" if operation.tag == "delete" else come)


def pairs(found: Iterable[Misreading]) -> list[tuple[tuple[str, str], int]]:
    """The commonest edits."""
    return Counter(edit for one in found for edit in one.edits).most_common(_MOST_PAIRS)


def typical(found: Sequence[Misreading], most: int) -> list[Misreading]:
    """Those whose edits are common, the shortest first among equals, and no more than three of one edit."""
    counts = Counter(edit for one in found for edit in set(one.edits))
    few = [one for one in found if len(one.edits) <= 2]
    ordered = sorted(few, key=lambda one: (-max(counts[edit] for edit in one.edits), len(one.truth)))
    shown: Counter[tuple[str, str]] = Counter()
    out = []
    for one in ordered:
        edit = max(one.edits, key=lambda edit: counts[edit])
        shown[edit] += 1
        if shown[edit] <= 3:
            out.append(one)
    return out[:most]


def worst(found: Sequence[Misreading], most: int) -> list[Misreading]:
    """Those with most of their characters wrong."""
    return sorted(found, key=lambda one: (-one.share, -one.confidence))[:most]


def surest(found: Sequence[Misreading], most: int) -> list[Misreading]:
    """Those that the net was surest of: often it is the truth that is wrong."""
    return sorted(found, key=lambda one: -one.confidence)[:most]


def write(found: Sequence[Misreading], samples: Sequence[Sample], folder: Path, most: int = 40) -> Path:
    """Contact sheets and `errors.md` into ``folder``; the latter's path."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"# {len(found)} of {len(samples)} lines are misread\n"]
    for what in ("set", "kind", "look"):
        parts.append("\n".join(_shares(found, samples, what)) + "\n")
    for name in sorted({sample.set for sample in samples}):
        its = [one for one in found if one.sample.set == name]
        if not its:
            continue
        parts.append(f"## {name}\n\nConfused (truth, read; ∅ is nothing): {_told(pairs(its))}\n")
        for title, chosen in (("worst", worst), ("typical", typical), ("surest", surest)):
            sheet(chosen(its, most), folder / f"{name}-{title}.png")
            parts.append(f"![{title}]({name}-{title}.png)\n")
    page = folder / "errors.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


def _shares(found: Sequence[Misreading], samples: Sequence[Sample], what: str) -> Iterator[str]:
    wrong = Counter(getattr(one.sample, what) for one in found)
    names = Counter(getattr(sample, what) for sample in samples)
    yield f"| {what} | lines | misread | most confused |"
    yield "| --- | --- | --- | --- |"
    for name, count in sorted(names.items()):
        if name:
            its = [one for one in found if getattr(one.sample, what) == name]
            yield f"| {name} | {count} | {wrong[name] / count:.1%} | {_told(pairs(its)[:6])} |"


def _told(counted: Iterable[tuple[tuple[str, str], int]]) -> str:
    return ", ".join(f"`{_shown(a)}` `{_shown(b)}` {count}" for (a, b), count in counted)


def _shown(character: str) -> str:
    return {"": "∅", " ": "␣", "`": "'", "|": "¦"}.get(character, character)


def sheet(shown: Sequence[Misreading], path: Path) -> None:
    """A contact sheet: each crop, and below it the truth in green, what was read in red, how sure, kind and look."""
    font = ImageFont.load_default(14)
    places: list[tuple[int, int]] = []
    x = y = 0
    for one in shown:
        told = sum(font.getlength(text) + _GAP for text, _ in _captions(one))
        width = max(min(one.sample.strip.shape[1], _WIDEST), round(told)) + _GAP
        if x and x + width > _WIDEST:
            x, y = 0, y + _ROW
        places.append((x, y))
        x += width
    image = Image.new("RGB", (_WIDEST, y + _ROW), "white")
    pen = ImageDraw.Draw(image)
    for one, (left, top) in zip(shown, places, strict=True):
        image.paste(Image.fromarray(np.ascontiguousarray(one.sample.strip[:, : _WIDEST - left])), (left, top))
        x_text = float(left)
        for text, colour in _captions(one):
            pen.text((x_text, top + HEIGHT), text, colour, font)
            x_text += font.getlength(text) + _GAP
    image.save(path, "PNG")


def _captions(one: Misreading) -> Iterator[tuple[str, tuple[int, int, int]]]:
    yield one.truth or "(nothing)", (20, 120, 50)
    yield one.text or "(nothing)", (190, 30, 40)
    yield f"{one.confidence:.2f} {one.sample.kind} {one.sample.look}".rstrip(), (130, 130, 130)
