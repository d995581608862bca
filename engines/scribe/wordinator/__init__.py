"""The Wordinator: what the net read in windows becomes discrete words with quads, and every decision can be traced."""

from engines.scribe.wordinator.trace import Act, Decision
from engines.scribe.wordinator.words import words

__all__ = ["Act", "Decision", "words"]
