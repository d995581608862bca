"""Comparisons to record."""

from __future__ import annotations

from typing import Any

from server.comparison import Agreement
from server.records.comparison import Comparison, Kept, Spent
from tests.server.jobs import document, page_of

AGREED = Agreement(
    control_words=100,
    candidate_words=99,
    matched=98,
    same_text=95,
    differ_digits=3,
    only_control=2,
    only_candidate=1,
    control_characters=500,
    character_errors=9,
    overlap_sum=88.5,
)


def comparison(id_: str = "r1", **fields: Any) -> Comparison:
    return Comparison(
        **{
            "id": id_,
            "at_s": 1000.5,
            "document_kind": "receipt",
            "pages": 2,
            "flags_version": "v1",
            "control": "scribe",
            "control_version": "1.0",
            "candidate": "tesseract",
            "candidate_version": "5.3",
            "status": "OK",
            "rules": "exact",
            "control_spent": Spent(0.4, 0.5, 60 << 20),
            "candidate_spent": Spent(0.9),
            "agreement": AGREED,
            **fields,
        }
    )


def failed(id_: str, **fields: Any) -> Comparison:
    return comparison(id_, **{"status": "CELL_CRASHED", "agreement": None, **fields})


def kept(text: str = "a secret") -> Kept:
    page = page_of(1, text.split())
    return Kept(document(text), (page,), (page,))
