"""Real pages with truth: folders of ``images/`` and ``truth.jsonl``.

A line of ``truth.jsonl`` is a JSON object: ``image``; ``lines`` and ``words`` (lists of ``text`` and ``quad``, or
null);
optionally ``page_text``, ``ignore`` (quads not to be scored) and ``no_spaces`` (the truth's text has none).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """A piece of truth and where it stands, px; None where that is not known."""

    text: str
    quad: Corners | None


@dataclass(frozen=True, slots=True)
class Truth:
    """A page and what is on it. ``words`` in the truth's order."""

    image: Path
    lines: tuple[Marked, ...]
    words: tuple[str, ...]
    page_text: str | None
    ignore: tuple[Corners, ...]
    no_spaces: bool


def data_folder() -> Path | None:
    """``$CLOISTER_DATA`` or ``../shared/data``, None where neither is there."""
    for candidate in (os.environ.get("CLOISTER_DATA"), Path(__file__).parents[2] / "shared" / "data"):
        if candidate is not None and Path(candidate).is_dir():
            return Path(candidate)
    return None


def load(folder: Path, limit: int | None = None) -> list[Truth]:
    """The pages of a set, the first ``limit`` of them. Raises FileNotFoundError where ``truth.jsonl`` is missing."""
    with (folder / "truth.jsonl").open(encoding="utf-8") as file:
        return [_page(folder, json.loads(line)) for line in file][:limit]


def _page(folder: Path, entry: dict[str, object]) -> Truth:
    lines = _marked(entry.get("lines"))
    words = _marked(entry.get("words"))
    page_text = entry.get("page_text")
    text = str(page_text) if page_text else " ".join(item.text for item in words or lines)
    return Truth(
        image=folder / str(entry["image"]),
        lines=lines,
        words=tuple(text.split()),
        page_text=str(page_text) if page_text else None,
        ignore=tuple(_corners(quad) for quad in _list(entry.get("ignore"))),
        no_spaces=bool(entry.get("no_spaces")),
    )


def _marked(items: object) -> tuple[Marked, ...]:
    marked = []
    for item in _list(items):
        if not isinstance(item, dict):
            raise TypeError(f"a line or word of the truth must be an object, not {item!r}")
        quad = item.get("quad")
        marked.append(Marked(str(item["text"]), _corners(quad) if quad else None))
    return tuple(marked)


def _corners(quad: object) -> Corners:
    corners = [_list(corner) for corner in _list(quad)]
    return tuple((float(str(corner[0])), float(str(corner[1]))) for corner in corners)


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
