"""The Wordinator: what the net read in windows becomes discrete words with quads, and every decision can be traced."""

from engines.scribe.wordinator.trace import Decision, placed
from engines.scribe.wordinator.words import words
from engines.trace import Act

__all__ = ["Act", "Decision", "placed", "words"]
