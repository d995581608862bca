"""Guillemets that are none: small print's double quotes look like them, but guillemets come in pairs."""

from __future__ import annotations

from collections.abc import Sequence

_PAIRS = (("«", "“", "»"), ("»", "”", "«"))
"""A guillemet, the double quote that it may be, and the guillemet that a page with the first has too."""


def paired(texts: Sequence[str]) -> list[str]:
    """A page's words, with the guillemets of one kind as double quotes where it has none of the other, and has such
    quotes."""
    page = set("".join(texts))
    wrong = {ord(one): quote for one, quote, other in _PAIRS if other not in page and page & {"“", "”"}}
    return [text.translate(wrong) for text in texts]
