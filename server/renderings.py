"""What was read, written as text: plain, as JSON, or as Tesseract's TSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from google.protobuf import json_format

from cloister.v1 import ocr_pb2

_TSV_COLUMNS = (
    "level",
    "page_num",
    "block_num",
    "par_num",
    "line_num",
    "word_num",
    "left",
    "top",
    "width",
    "height",
    "conf",
    "text",
)
# Tesseract gives this confidence to everything that is not a word.
_NO_CONFIDENCE = "-1"


class Rendering(StrEnum):
    """A form of output; its value is the name on the command line."""

    TEXT = "text"
    JSON = "json"
    TSV = "tsv"

    @property
    def suffix(self) -> str:
        return ".txt" if self is Rendering.TEXT else f".{self.value}"

    def render(self, response: ocr_pb2.RecognizeResponse) -> str:
        """The whole of ``response``, ending in a line break."""
        match self:
            case Rendering.TEXT:
                return f"{response.text}\n"
            case Rendering.JSON:
                return json_format.MessageToJson(response, indent=None, ensure_ascii=False) + "\n"
            case Rendering.TSV:
                return "".join("\t".join(row) + "\n" for row in tsv_rows(response))


@dataclass(frozen=True, slots=True)
class _Box:
    """Upright, in whole px, edges included."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, quads: Iterable[ocr_pb2.Quad]) -> _Box:
        points = [point for q in quads for point in (q.top_left, q.top_right, q.bottom_right, q.bottom_left)]
        xs, ys = [point.x for point in points], [point.y for point in points]
        return cls(round(min(xs)), round(min(ys)), round(max(xs)), round(max(ys)))

    @property
    def cells(self) -> tuple[str, ...]:
        return str(self.left), str(self.top), str(self.right - self.left), str(self.bottom - self.top)


def tsv_rows(response: ocr_pb2.RecognizeResponse) -> Iterator[tuple[str, ...]]:
    """Header and rows as ``tesseract ... tsv`` writes them. A page's lines are one paragraph of one block."""
    yield _TSV_COLUMNS
    for page in response.pages:
        whole = ("0", "0", str(page.width), str(page.height))
        yield _row(1, page.number, (0, 0, 0, 0), whole)
        if not page.lines:
            continue
        text = _Box.around(line.quad for line in page.lines).cells
        yield _row(2, page.number, (1, 0, 0, 0), text)
        yield _row(3, page.number, (1, 1, 0, 0), text)
        for i, line in enumerate(page.lines, 1):
            yield _row(4, page.number, (1, 1, i, 0), _Box.around([line.quad]).cells)
            for j, word in enumerate(line.words, 1):
                box = _Box.around([word.quad]).cells
                yield _row(5, page.number, (1, 1, i, j), box, (f"{100 * word.confidence:.2f}", word.text))


def _row(
    level: int,
    page: int,
    place: tuple[int, int, int, int],
    box: tuple[str, ...],
    word: tuple[str, str] = (_NO_CONFIDENCE, ""),
) -> tuple[str, ...]:
    return (str(level), str(page), *map(str, place), *box, *word)
