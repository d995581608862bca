"""Upright boxes about quads, in whole px: all that hOCR, ALTO and TSV know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cloister.v1 import ocr_pb2


@dataclass(frozen=True, slots=True)
class Box:
    """Edges in px."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, quads: Iterable[ocr_pb2.Quad], page: ocr_pb2.Page) -> Box:
        """The box about all of ``quads``, of which there must be one, within the page."""
        points = [point for q in quads for point in (q.top_left, q.top_right, q.bottom_right, q.bottom_left)]
        xs, ys = [point.x for point in points], [point.y for point in points]
        return cls(
            _within(min(xs), page.width), _within(min(ys), page.height),
            _within(max(xs), page.width), _within(max(ys), page.height),
        )  # fmt: skip

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def _within(value: float, limit: int) -> int:
    return min(max(round(value), 0), limit)
