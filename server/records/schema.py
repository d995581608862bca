"""The database's tables. Alike on SQLite and PostgreSQL; times are seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, String, Table

from server.comparison import Agreement
from server.records.comparison import Rightness

metadata = MetaData()

SIDES = ("control", "candidate")
_NAME = String(200)


def _spent() -> Iterator[Column[Any]]:
    for side in SIDES:
        yield Column(f"{side}_seconds", Double, nullable=False)
        yield Column(f"{side}_cpu_s", Double)
        yield Column(f"{side}_memory_bytes", BigInteger)


def _counts() -> Iterator[Column[Any]]:
    for item in fields(Agreement):
        yield Column(item.name, Double if item.name.endswith("_sum") else BigInteger)
    for item in fields(Rightness):
        yield Column(f"truth_{item.name}", BigInteger())


comparisons = Table(
    "cloister_comparisons",
    metadata,
    Column("id", _NAME, primary_key=True),
    Column("at_s", Double, nullable=False),
    Column("document_kind", _NAME, nullable=False),
    Column("pages", Integer, nullable=False),
    Column("flags_version", _NAME, nullable=False),
    Column("control", _NAME, nullable=False),
    Column("control_version", _NAME, nullable=False),
    Column("candidate", _NAME, nullable=False),
    Column("candidate_version", _NAME, nullable=False),
    Column("status", _NAME, nullable=False),
    Column("rules", _NAME, nullable=False),
    *_spent(),
    *_counts(),
    Index("cloister_comparisons_by_time", "control", "candidate", "at_s"),
)

kept = Table(
    "cloister_kept",
    metadata,
    Column("id", _NAME, primary_key=True),
    Column("expires_s", BigInteger, nullable=False, index=True),
    Column("document", LargeBinary, nullable=False),
    Column("control", LargeBinary, nullable=False),
    Column("candidate", LargeBinary, nullable=False),
)
"""Documents kept with consent, sealed by `server.records.vault`."""

accesses = Table(
    "cloister_accesses",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", _NAME, nullable=False, index=True),
    Column("at_s", Double, nullable=False),
    Column("who", _NAME, nullable=False),
    Column("why", String(1000), nullable=False),
)
"""Who had a kept document opened. Outlives it."""
