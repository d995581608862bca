"""The characters the Word Deep Net knows, and their class numbers.

Class 0 is the CTC blank; class i is ``CHARACTERS[i - 1]``. The order is part of the weights: append, never reorder.
"""

from __future__ import annotations

import string

BLANK = 0

_ASCII = " " + string.digits + string.ascii_uppercase + string.ascii_lowercase + string.punctuation
_TYPOGRAPHIC = "‘’“”„‚«»‹›–—…•·°§¶†‡©®™€£¥¢¤×÷±½¼¾¹²³ªº¡¿µ№≤≥≠−→✓□■★"
_LETTERS = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿŒœŠšŽžŸ"

CHARACTERS = _ASCII + _TYPOGRAPHIC + _LETTERS
CLASSES = len(CHARACTERS) + 1

_INDEX = {character: i + 1 for i, character in enumerate(CHARACTERS)}


def encode(text: str) -> list[int]:
    """Class numbers of ``text``; KeyError names the first character that is not in the alphabet."""
    return [_INDEX[character] for character in text]


def knows(text: str) -> bool:
    """Whether every character of ``text`` is in the alphabet."""
    return all(character in _INDEX for character in text)


def case_pairs() -> list[tuple[int, int]]:
    """Class numbers of (upper case, lower case) of each letter that has both."""
    pairs = []
    for character in CHARACTERS:
        lower = character.lower()
        if lower != character and lower in _INDEX:
            pairs.append((_INDEX[character], _INDEX[lower]))
    return pairs
