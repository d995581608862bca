"""Affine maps of the plane, as PDF writes them (ISO 32000-1, 8.3.4): (x, y) to (a x + c y + e, b x + d y + f)."""

from __future__ import annotations

from dataclasses import dataclass

from engines.api import Point


@dataclass(frozen=True, slots=True)
class Matrix:
    """A map. ``a @ b`` is b first, then a."""

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 1.0
    e: float = 0.0
    f: float = 0.0

    def __matmul__(self, first: Matrix) -> Matrix:
        return Matrix(
            first.a * self.a + first.b * self.c,
            first.a * self.b + first.b * self.d,
            first.c * self.a + first.d * self.c,
            first.c * self.b + first.d * self.d,
            first.e * self.a + first.f * self.c + self.e,
            first.e * self.b + first.f * self.d + self.f,
        )

    def map(self, point: Point) -> Point:
        """Where a point goes."""
        x, y = point
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f
