"""Running text for the language model, from Debian packages under free licences: WordNet's glosses, fortunes, and
LibreOffice's help in nine languages."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Iterator
from pathlib import Path

from engines.scribe.training.packages import unpacked

_LANGUAGES = ("en-us", "de", "fr", "es", "it", "nl", "pt", "da", "sv")
PACKAGES = (
    "wordnet-base",
    *("fortunes-min", "fortunes", "fortunes-de", "fortunes-es", "fortunes-it", "fortunes-br"),
    *(f"libreoffice-help-{language}" for language in _LANGUAGES),
)
_MOST = 1_200_000
"""Characters of one language's help."""
_MORE = {"glosses": 9_000_000, "fortunes": 5_000_000, "en-us": 4_000_000}
_HIDDEN = re.compile(r"<(script|style|nav|header|footer)\b.*?</\1>", re.DOTALL)
_PARAGRAPH = re.compile(r"<(p|h\d|td|li)\b[^>]*>(.*?)</\1>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")
_LEAST, _LONGEST = 12, 2000


def paragraphs(seed: int) -> Iterator[str]:
    """Paragraphs in an order of ``seed``'s, of each source as many as its share allows; fetches the packages."""
    with unpacked(PACKAGES) as folder:
        sources = {"glosses": _glosses(folder), "fortunes": _fortunes(folder)}
        sources |= {language: _help(folder, language) for language in _LANGUAGES}
        for name, texts in sources.items():
            random.Random(seed).shuffle(texts)
            left = _MORE.get(name, _MOST)
            for text in texts:
                yield text
                left -= len(text)
                if left < 0:
                    break


def _glosses(folder: Path) -> list[str]:
    rows = []
    for part in ("noun", "verb", "adj", "adv"):
        lines = (folder / f"usr/share/wordnet/data.{part}").read_text(encoding="latin-1").splitlines()
        rows += [line.split("|", 1)[1].strip() for line in lines if "|" in line and not line.startswith("  ")]
    return rows


def _fortunes(folder: Path) -> list[str]:
    found = []
    for path in sorted((folder / "usr/share/games/fortunes").rglob("*")):
        if path.is_file() and not path.suffix:
            text = path.read_text(encoding="utf-8", errors="ignore")
            found += [" ".join(piece.split()) for piece in text.split("\n%\n")]
    return found


def _help(folder: Path, language: str) -> list[str]:
    found: dict[str, None] = {}
    for path in sorted((folder / f"usr/share/libreoffice/help/{language}/text").rglob("*.html")):
        page = _HIDDEN.sub(" ", path.read_text(encoding="utf-8"))
        for match in _PARAGRAPH.finditer(page):
            text = " ".join(html.unescape(_TAG.sub("", match[2])).split())
            if _LEAST < len(text) < _LONGEST:
                found[text] = None
    return list(found)
