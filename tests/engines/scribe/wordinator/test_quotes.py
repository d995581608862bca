"""Guillemets that have no other half on their page are double quotes."""

from __future__ import annotations

import pytest

from engines.scribe.wordinator.quotes import paired


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ("«loois or “light” is", "“loois or “light” is"),
        ("“havat» or “light”", "“havat” or “light”"),
        ("«oui» he said “no”", "«oui» he said “no”"),
        ("»nein« he said „doch“", "»nein« he said „doch“"),
        ("«oui is all", "«oui is all"),
        ('« "quoted"', '« "quoted"'),
        ("", ""),
    ],
)
def test_guillemets_come_in_pairs(read: str, said: str) -> None:
    assert paired(read.split()) == said.split()
