"""The ledger's tables. Alike on SQLite and PostgreSQL; times are seconds since 1970."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()

_NAME = String(200)

readings = Table(
    "cloister_readings",
    metadata,
    Column("id", _NAME, primary_key=True),
    Column("key", _NAME, nullable=False),
    # A document that ended without a result and is handed in anew gets a reading of its own, one generation younger.
    Column("generation", Integer, nullable=False),
    Column("document", _NAME, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("options", LargeBinary, nullable=False),
    Column("state", _NAME, nullable=False),
    Column("changed_s", Double, nullable=False),
    # Not to be read before; and when its message was last sent, 0 where one is to be sent.
    Column("due_s", Double, nullable=False),
    Column("sent_s", Double, nullable=False),
    # Who works on it, and until when that is believed without another word of theirs.
    Column("owner", _NAME, nullable=False),
    Column("lease_s", Double, nullable=False),
    # Tries that failed; that a worker did not live to the end of; that were refused for now.
    Column("attempts", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("refusals", Integer, nullable=False),
    Column("reason", _NAME, nullable=False),
    Column("message", String(2000), nullable=False),
    Column("result", _NAME, nullable=False),
    UniqueConstraint("key", "generation"),
    Index("cloister_readings_by_state", "state", "due_s"),
    Index("cloister_readings_by_owner", "owner"),
)

jobs = Table(
    "cloister_jobs",
    metadata,
    Column("id", _NAME, primary_key=True),
    Column("reading", _NAME, ForeignKey(readings.c.id), nullable=False, index=True),
    Column("name", String(1000), nullable=False),
    Column("tenant", _NAME, nullable=False),
    Column("submitted_s", Double, nullable=False, index=True),
    # 0 while it is wanted. Others may still want its reading.
    Column("cancelled_s", Double, nullable=False),
)
