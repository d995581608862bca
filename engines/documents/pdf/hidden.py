"""Takes hidden text out of a page: what an earlier run of text recognition left there."""

from __future__ import annotations

import pikepdf
from pikepdf import Dictionary, Name, Operator, Stream

_INVISIBLE = 3
_MAX_DEPTH = 8
# What showing a string also does, once the string itself is gone (ISO 32000-1, table 109).
_SHOWS = {"Tj": None, "TJ": None, "'": "T*", '"': "T*"}


def remove(pdf: pikepdf.Pdf, page: pikepdf.Page) -> None:
    """Drop every string shown in render mode 3, in the page's contents and in its form XObjects.

    A form that other pages share loses its hidden text there too: it was made by the same run.
    """
    stripped = _stripped(page.obj)
    if stripped is not None:
        page.obj.Contents = pdf.make_indirect(Stream(pdf, stripped))
    _strip_forms(page.obj.get("/Resources"), 0)


def _strip_forms(resources: pikepdf.Object | None, depth: int) -> None:
    if depth >= _MAX_DEPTH or not isinstance(resources, Dictionary):
        return
    for form in dict(resources.get("/XObject", {}).items()).values():
        if isinstance(form, Stream) and form.get("/Subtype") == Name.Form:
            stripped = _stripped(form)
            if stripped is not None:
                form.write(stripped)
            _strip_forms(form.get("/Resources"), depth + 1)


def _stripped(holder: pikepdf.Object) -> bytes | None:
    """The contents without hidden text; None where there is none."""
    mode = 0
    saved: list[int] = []
    kept: list[object] = []
    changed = False
    for instruction in pikepdf.parse_content_stream(holder):
        operator = str(instruction.operator)
        if operator == "q":
            saved.append(mode)
        elif operator == "Q" and saved:
            mode = saved.pop()
        elif operator == "Tr" and len(instruction.operands) == 1:
            mode = int(instruction.operands[0])
        elif operator in _SHOWS and mode == _INVISIBLE:
            changed = True
            instead = _SHOWS[operator]
            if instead is not None:
                kept.append(pikepdf.ContentStreamInstruction([], Operator(instead)))
            continue
        kept.append(instruction)
    return pikepdf.unparse_content_stream(kept) if changed else None  # type: ignore[arg-type]
