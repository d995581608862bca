"""The Word Detector: a page's lines of text as windows of fixed size. High recall by design: the net tells noise."""

from engines.scribe.detector.detect import find_lines, windows

__all__ = ["find_lines", "windows"]
