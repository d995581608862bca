"""What synthetic windows say: words by frequency, and grammars of codes, addresses and receipts' lines."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path

import numpy as np
from wordfreq import zipf_frequency

from engines.scribe.recogniser.alphabet import CHARACTERS, knows
from engines.scribe.training.pools import LANGUAGES, load
from engines.scribe.training.values import date, number, price
from engines.scribe.training.vocabulary import ABBREVIATIONS, RARE, RECEIPT, SHORT, TAX, UNITS

Rng = np.random.Generator

_FLATTEN = 0.55
"""Words are drawn by frequency to this power: the rare ones must be seen too."""

_PARTED = 5
"""Letters of the shortest word that a line's end parts."""


class Corpus:
    """Text of every kind, drawn with a caller's generator; the pools come from wordfreq and Faker and are kept in a
    file."""

    def __init__(self, cache: Path) -> None:
        pools = load(cache)
        self._words: dict[str, list[str]] = {}
        self._weights: dict[str, np.ndarray] = {}
        for language in LANGUAGES:
            words = pools[f"words_{language}"]
            weights = np.array([10 ** zipf_frequency(word, language) for word in words]) ** _FLATTEN
            self._words[language] = words
            self._weights[language] = np.cumsum(weights / weights.sum())
        self._pools = pools
        self._languages = list(LANGUAGES)
        self._language_weights = np.cumsum(list(LANGUAGES.values()))

    def words(self, rng: Rng, count: int, language: str | None = None) -> list[str]:
        """``count`` words of one language, in lower case as they are in the list."""
        if language is None:
            language = self._languages[min(np.searchsorted(self._language_weights, rng.random()), len(LANGUAGES) - 1)]
        index = np.searchsorted(self._weights[language], rng.random(count))
        words = self._words[language]
        return [words[min(i, len(words) - 1)] for i in index]

    def pick(self, rng: Rng, pool: str) -> str:
        """One entry of a pool of Faker's."""
        entries = self._pools[pool]
        return entries[rng.integers(len(entries))]

    def sentence(self, rng: Rng, count: int) -> str:  # noqa: PLR0912 - a grammar
        """A piece of running text: case, punctuation, a number or a name now and then."""
        words = self.words(rng, count)
        quotes = [("“", "”"), ('"', '"'), ("‘", "’"), ("'", "'"), ("«", "»"), ("„", "“"), ("(", ")"), ("[", "]")]
        out: list[str] = []
        start = rng.random() < 0.35
        for word in words:
            piece = word
            roll = rng.random()
            if word == "i" or word.startswith(("i'", "i’")) or start:
                piece = piece[0].upper() + piece[1:]
            elif roll < 0.07:
                piece = piece.capitalize()
            elif roll < 0.09:
                piece = piece.upper()
            elif roll < 0.14:
                piece = number(rng)
            elif roll < 0.17:
                piece = self.pick(rng, "names").split()[0]
            elif roll < 0.20:
                piece = piece + "-" + self.words(rng, 1, "en")[0]
            if rng.random() < 0.5:
                piece = piece.replace("'", "’")
            start = False
            roll = rng.random()
            if roll < 0.09:
                piece += ","
            elif roll < 0.16:
                piece += "."
                start = True
            elif roll < 0.21:
                piece += str(rng.choice([";", ":", "?", "!", "...", "…", "-", ".)", ",”", ".”"]))
            elif roll < 0.24:
                left, right = quotes[rng.integers(len(quotes))]
                piece = left + piece + right
            elif roll < 0.255:
                piece += str(rng.choice([" –", " —", " -", " &", " /", "—" + self.words(rng, 1, "en")[0]]))
            elif roll < 0.27:
                left, right = quotes[rng.integers(len(quotes))]
                piece = left + piece if rng.random() < 0.5 else piece + right
            out.append(piece)
        if out[-1].isalpha() and len(out[-1]) >= _PARTED and rng.random() < 0.3:  # the line ends within a word
            out[-1] = out[-1][: rng.integers(2, len(out[-1]) - 1)] + "-"
        return " ".join(out)

    def heading(self, rng: Rng, count: int) -> str:
        """Words of a heading: Title Case or UPPER CASE; some are joined by a sign, as firms' names are."""
        words = self.words(rng, count)
        if rng.random() < 0.12:
            words.insert(int(rng.integers(0, len(words) + 1)), "&")
        if rng.random() < 0.6:
            return " ".join(words).upper()
        return " ".join(word.capitalize() for word in words)

    def code(self, rng: Rng) -> str:  # noqa: PLR0911 - a grammar
        """Invoice, tax, part and phone numbers, and random codes."""
        style = int(rng.integers(10))
        digits = "".join(str(d) for d in rng.integers(0, 10, int(rng.integers(3, 14))))
        letters = "".join(rng.choice(list(string.ascii_uppercase), int(rng.integers(1, 5))))
        if style == 0:
            return digits
        if style == 1:
            return letters + digits
        if style == 2:
            return f"{letters}-{digits}"
        if style == 3:
            return f"({digits[:6]}-{letters[:1]})"
        if style == 4:
            return self.pick(rng, "phones")
        if style == 5:
            cut = len(digits) // 2
            return f"{digits[:cut]}{rng.choice(['-', '/', ' ', '.', ':'])}{digits[cut:]}"
        if style == 6:
            return "#" + digits
        if style == 7:
            mixed = list(string.ascii_uppercase + string.digits * 3)
            return "".join(rng.choice(mixed, int(rng.integers(3, 12))))
        if style == 8:  # a paragraph's number
            signs = [*string.ascii_letters, *string.digits, "ii", "iii", "iv", "10", "12"]
            return digits[: int(rng.integers(4))] + "".join(f"({rng.choice(signs)})" for _ in range(rng.integers(2, 4)))
        return "".join(rng.choice(list("0123456789abcdef"), int(rng.integers(4, 12))))

    def receipt(self, rng: Rng, words: int = 3) -> str:  # noqa: PLR0911 - a grammar
        """A line, or a piece of one, of a receipt or an invoice."""
        roll = rng.random()
        if roll < 0.30:
            text = str(rng.choice(RECEIPT))
            tail = rng.random()
            if tail < 0.3:
                text += str(rng.choice([":", " :", ": ", " : ", "."]))
            if tail < 0.55:
                text += " " + [price, date, self.code][int(rng.integers(3))](rng)
            return _printed(rng, text, upper=0.35, lower=0.2)
        if roll < 0.48:
            return price(rng)
        if roll < 0.62:
            name = " ".join(word.capitalize() for word in self.words(rng, int(rng.integers(1, words + 1)), "en"))
            parts = [_printed(rng, name, upper=0.5, lower=0.25)]
            if rng.random() < 0.4:
                parts.append(f"{rng.integers(1, 1000)}{_printed(rng, str(rng.choice(UNITS)), upper=0.4, lower=0.6)}")
            if rng.random() < 0.2:
                parts.insert(0, self.code(rng))
            if rng.random() < 0.25:
                parts.append(price(rng))
            return " ".join(parts)
        if roll < 0.72:
            quantity = int(rng.integers(1, 30))
            unit = f"{rng.integers(1, 200)}.{rng.integers(100):02d}"
            return str(rng.choice([
                f"{quantity} X {unit}", f"{quantity} x {unit}",
                f"{quantity}.00 {_printed(rng, str(rng.choice(UNITS)), upper=0.5, lower=0.5)}",
                f"{quantity} @ {unit}", f"{unit} {rng.choice(TAX)}", f"{quantity} {unit} {quantity}.00", f"{quantity}",
                f"{quantity}.000", f"x{quantity}",
            ]))  # fmt: skip
        if roll < 0.82:
            return _printed(rng, self.pick(rng, "addresses"), upper=0.5, lower=0.05)
        if roll < 0.92:
            return date(rng)
        return self.code(rng)

    def contact(self, rng: Rng) -> str:
        """A name, company, address, e-mail or URL."""
        return self.pick(
            rng, str(rng.choice(["names", "companies", "addresses", "emails", "urls", "addresses", "names"]))
        )

    def rare(self, rng: Rng) -> str:
        """Words salted with characters that running text hardly has; so that each has been seen often."""
        words = self.words(rng, int(rng.integers(1, 4)))
        marks = rng.choice(RARE, int(rng.integers(1, 4)))
        out = []
        for i, word in enumerate(words):
            mark = str(marks[i % len(marks)])
            place = rng.random()
            text = word.capitalize() if rng.random() < 0.4 else word
            if place < 0.3:
                text = mark + text
            elif place < 0.6:
                text = text + mark
            elif place < 0.8:
                text = f"{text} {mark}"
            else:
                cut = int(rng.integers(0, len(text) + 1))
                text = text[:cut] + mark + text[cut:]
            out.append(text)
        return " ".join(out)

    def jumble(self, rng: Rng) -> str:
        """Characters at random, so that no language model carries the net past what it sees."""
        sets = [string.ascii_letters + string.digits, string.ascii_lowercase, string.ascii_uppercase + string.digits,
                CHARACTERS.replace(" ", ""), string.digits + ".,-/$%:()"]  # fmt: skip
        chars = list(sets[int(rng.integers(len(sets)))])
        return " ".join("".join(rng.choice(chars, int(rng.integers(1, 9)))) for _ in range(int(rng.integers(1, 4))))

    def single(self, rng: Rng) -> str:
        """One character, or two."""
        chars = list("0123456789" * 3 + string.ascii_letters + "$£€%#&*-:.,()/|@+=•–—")
        return "".join(rng.choice(chars, 1 if rng.random() < 0.75 else 2))

    def brief(self, rng: Rng) -> str:
        """What stands alone in a form's box: a word, mostly small, with the marks beside it; initials, a part of a
        number, an abbreviation, a sign in brackets."""
        roll = rng.random()
        if roll < 0.45:
            word = self.words(rng, 1, "en" if rng.random() < 0.8 else None)[0]
            if rng.random() < 0.15:
                word = str(rng.choice(SHORT))
            case = rng.random()
            word = word.upper() if case < 0.2 else word.capitalize() if case < 0.35 else word
            if rng.random() < 0.15:
                word = str(rng.choice(["(", "(", '"', "“", "-", "/", "#", "*"])) + word
            if rng.random() < 0.4:
                word += str(rng.choice([".", ",", ":", ":", ";", ")", "/", "-", "'s", "’s", '"', "...", "?", "#"]))
            return word
        if roll < 0.57:
            letters = rng.choice(list(string.ascii_uppercase), int(rng.integers(1, 4)))
            if len(letters) > 1 and rng.random() < 0.25:
                return str(rng.choice(["&", "&", " & "])).join(("".join(letters[:-1]), letters[-1]))
            return ".".join(letters) + str(rng.choice([".", ".", ".,", ""]))
        if roll < 0.77:
            value = str(int(10 ** rng.uniform(0, 4)))
            fraction = f"{rng.integers(100):02d}"
            return str(rng.choice([
                f"({value}-{fraction})", f"({value}/{fraction})", f"{value}/", f"/{fraction}", f".{fraction}",
                f"${value}.{fraction}", f"{value}%", f"{value}%)", f"{value})", f"({value}", f"({value})",
                f"-{value}", f"-{value}.", f"{value}.", f"{value},", f"{value}'s", f"{value}#", f"#{value}",
                f"{value}-", f"${value}", f"({value}.{fraction})",
            ]))  # fmt: skip
        if roll < 0.94:
            word = str(rng.choice(ABBREVIATIONS))
            return word.upper() if rng.random() < 0.3 else word
        return str(
            rng.choice(["(+)", "(-)", "(%)", "(X)", "(a)", "( )", "&", "&", "#", "+/-", "-", "*", "**", "(1)", "[ ]"])
        )

    def line(self, rng: Rng, kind: str, words: int) -> str:
        """A line of ``kind`` (a key of `KINDS`), about ``words`` words long, every character in the alphabet."""
        for _ in range(20):
            text = " ".join(KINDS[kind](self, rng, words).split())
            if text and knows(text):
                return text
        return "0"

    def leaders(self, rng: Rng) -> str:
        """An entry of a table of contents: words, leader dots, a number."""
        dots = str(rng.choice([".", ". ", "_", "-", "·"])) * int(rng.integers(3, 10))
        return f"{self.heading(rng, 2)} {dots.strip()} {number(rng)}"

    def list_item(self, rng: Rng, words: int) -> str:
        """A numbered or bulleted item."""
        mark = str(
            rng.choice(["•", "-", "*", "1.", "2)", "(a)", "(iii)", "A.", "3.1", "IV.", "§ 4", "□", "■", "–", "→"])
        )
        return f"{mark} {self.sentence(rng, words)}"


def _printed(rng: Rng, text: str, *, upper: float, lower: float) -> str:
    """``text`` in capitals or in small letters, as often as a receipt's printer sets it so; else as it is.

    Where made receipts have small letters seldom, the net takes clear ones for capitals."""
    roll = rng.random()
    return text.upper() if roll < upper else text.lower() if roll < upper + lower else text


def _numbers(corpus: Corpus, rng: Rng, words: int) -> str:
    return " ".join(number(rng) if rng.random() < 0.6 else price(rng) for _ in range(int(rng.integers(1, words + 1))))


KINDS: dict[str, Callable[[Corpus, Rng, int], str]] = {
    "sentence": lambda c, r, n: c.sentence(r, n),
    "heading": lambda c, r, n: c.heading(r, n),
    "receipt": lambda c, r, n: " ".join(c.receipt(r) for _ in range(1 if n < 3 or r.random() < 0.8 else 2)),
    "numbers": _numbers,
    "date": lambda c, r, n: date(r),
    "code": lambda c, r, n: c.code(r),
    "contact": lambda c, r, n: c.contact(r),
    "rare": lambda c, r, n: c.rare(r),
    "jumble": lambda c, r, n: c.jumble(r),
    "single": lambda c, r, n: c.single(r),
    "brief": lambda c, r, n: " ".join(c.brief(r) for _ in range(1 if n < 6 else 2)),
    "leaders": lambda c, r, n: c.leaders(r),
    "item": lambda c, r, n: c.list_item(r, n),
}
