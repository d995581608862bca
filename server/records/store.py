"""The database of comparisons: SQLite in a file, or PostgreSQL where several servers share one.

Blocking, and so never called on a server's event loop: a server writes through `server.records.recorder`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from cloister.v1 import ocr_pb2
from server import database
from server.comparison import Agreement
from server.records import schema
from server.records.comparison import Comparison, Entry, Kept, Rightness, Spent
from server.records.vault import Vault

_SHARED = tuple(item.name for item in fields(Comparison) if item.name in schema.comparisons.c)
_SETTING = "shadow.database"
_DAY_S = 86_400


class RecordsError(Exception):
    """A database that can't be used as it is, or a record that is not in it. Says what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """Somebody had a kept document opened."""

    id: str
    at_s: float
    who: str
    why: str


class Store:
    """Comparisons at ``url``, as SQLAlchemy writes it; ``vault`` seals what is kept of documents, for ``keep_days``.

    Every method may raise `sqlalchemy.exc.SQLAlchemyError` where the database can't be reached.
    """

    def __init__(self, url: str, vault: Vault | None = None, keep_days: float = 30.0) -> None:
        self._vault = vault
        self._keep_days = keep_days
        with _of_records():
            self._url = database.parsed(url, _SETTING)
            self._engine = database.engine_for(self._url, _SETTING)
        self._prepared = False

    @property
    def place(self) -> str:
        """The database's address without its password, for logs."""
        return database.place(self._url)

    @property
    def keeps_documents(self) -> bool:
        return self._vault is not None

    def prepare(self) -> None:
        """Make the tables where there are none. Raises `RecordsError` where there are others of their names."""
        if self._prepared:
            return
        with _of_records():
            database.prepare(self._engine, schema.metadata)
        self._prepared = True

    def add(self, entries: Sequence[Entry]) -> None:
        """Record all of ``entries`` or, where it raises, none. What is there already stays as it is."""
        self.prepare()
        rows = [_row(entry.comparison) for entry in entries]
        sealed = [self._sealed(entry.comparison.id, entry.kept) for entry in entries if entry.kept is not None]
        try:
            self._insert(rows, sealed)
        except IntegrityError:
            # Some were written before, and the word of it was lost with a connection.
            there = self._known([entry.comparison.id for entry in entries])
            self._insert([r for r in rows if r["id"] not in there], [s for s in sealed if s["id"] not in there])

    def comparisons(
        self, control: str = "", candidate: str = "", *, since_s: float = 0.0, limit: int = 100_000
    ) -> list[Comparison]:
        """The newest, oldest of them first; of all engines where none is named."""
        self.prepare()
        table = schema.comparisons
        query = (
            select(table).where(table.c.at_s >= since_s).order_by(table.c.at_s.desc(), table.c.id.desc()).limit(limit)
        )
        if control:
            query = query.where(table.c.control == control)
        if candidate:
            query = query.where(table.c.candidate == candidate)
        with self._engine.connect() as connection:
            return [_comparison(row) for row in connection.execute(query).mappings()][::-1]

    def comparison(self, id_: str) -> Comparison:
        """One of them. Raises `RecordsError` where there is none."""
        self.prepare()
        with self._engine.connect() as connection:
            row = (
                connection.execute(select(schema.comparisons).where(schema.comparisons.c.id == id_)).mappings().first()
            )
        if row is None:
            raise RecordsError(f"no comparison {id_} is recorded in {self.place}")
        return _comparison(row)

    def open_kept(self, id_: str, who: str, why: str) -> Kept:
        """The document of a comparison, and both readings, for ``who``: that is recorded first.

        Raises `RecordsError` where it was not kept or has expired, `VaultError` where it can't be opened.
        """
        self.prepare()
        if self._vault is None:
            raise RecordsError("kept documents are sealed; name the file of keys in shadow.keep_keys")
        table = schema.kept
        with self._engine.begin() as connection:
            row = connection.execute(select(table).where(table.c.id == id_)).mappings().first()
            if row is None or row["expires_s"] <= time.time():
                raise RecordsError(f"the document of {id_} was not kept, or no longer is")
            accessed = {"id": id_, "at_s": time.time(), "who": who[:200], "why": why[:1000]}
            connection.execute(insert(schema.accesses).values(accessed))
        parts = {
            name: self._vault.open(row[name], _label(id_, name, row["expires_s"]))
            for name in ("document", *schema.SIDES)
        }
        return Kept(parts["document"], _pages(parts["control"]), _pages(parts["candidate"]))

    def set_truth(self, id_: str, truth: Rightness) -> None:
        """Say who was right. Raises `RecordsError` where the comparison is not there."""
        self.prepare()
        table = schema.comparisons
        values = {f"truth_{name}": value for name, value in asdict(truth).items()}
        with self._engine.begin() as connection:
            if not connection.execute(table.update().where(table.c.id == id_).values(values)).rowcount:
                raise RecordsError(f"no comparison {id_} is recorded in {self.place}")

    def accesses(self, id_: str = "") -> list[Access]:
        """Who had documents opened, oldest first; those of ``id_``, or all."""
        self.prepare()
        table = schema.accesses
        query = select(table.c.id, table.c.at_s, table.c.who, table.c.why).order_by(table.c.number)
        if id_:
            query = query.where(table.c.id == id_)
        with self._engine.connect() as connection:
            return [Access(*row) for row in connection.execute(query)]

    def purge(self, now_s: float | None = None) -> int:
        """Delete what is kept of documents and has expired, and say how many those were."""
        self.prepare()
        expired = delete(schema.kept).where(schema.kept.c.expires_s <= (time.time() if now_s is None else now_s))
        with self._engine.begin() as connection:
            return connection.execute(expired).rowcount

    def close(self) -> None:
        self._engine.dispose()

    def _sealed(self, id_: str, kept: Kept) -> dict[str, Any]:
        if self._vault is None:
            raise RecordsError("documents are kept only where a key is set")
        expires_s = int(time.time() + self._keep_days * _DAY_S)
        parts = {"document": kept.document, "control": _packed(kept.control), "candidate": _packed(kept.candidate)}
        sealed = {name: self._vault.seal(part, _label(id_, name, expires_s)) for name, part in parts.items()}
        return {"id": id_, "expires_s": expires_s, **sealed}

    def _insert(self, rows: Sequence[Mapping[str, Any]], sealed: Sequence[Mapping[str, Any]]) -> None:
        with self._engine.begin() as connection:
            if rows:
                connection.execute(insert(schema.comparisons), rows)
            if sealed:
                connection.execute(insert(schema.kept), sealed)

    def _known(self, ids: Sequence[str]) -> set[str]:
        with self._engine.connect() as connection:
            return set(connection.scalars(select(schema.comparisons.c.id).where(schema.comparisons.c.id.in_(ids))))


@contextmanager
def _of_records() -> Iterator[None]:
    try:
        yield
    except database.DatabaseError as error:
        raise RecordsError(str(error)) from error


def _label(id_: str, part: str, expires_s: int) -> str:
    return f"{id_}\n{part}\n{expires_s}"


def _packed(pages: Sequence[ocr_pb2.Page]) -> bytes:
    return ocr_pb2.RecognizeResponse(pages=pages).SerializeToString()


def _pages(packed: bytes) -> tuple[ocr_pb2.Page, ...]:
    return tuple(ocr_pb2.RecognizeResponse.FromString(packed).pages)


def _row(comparison: Comparison) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(comparison, name) for name in _SHARED}
    for side, spent in zip(schema.SIDES, (comparison.control_spent, comparison.candidate_spent), strict=True):
        row |= {f"{side}_{name}": value for name, value in asdict(spent).items()}
    counts = {} if comparison.agreement is None else asdict(comparison.agreement)
    row |= {item.name: counts.get(item.name) for item in fields(Agreement)}
    truth = {} if comparison.truth is None else asdict(comparison.truth)
    return row | {f"truth_{item.name}": truth.get(item.name) for item in fields(Rightness)}


def _comparison(row: Mapping[Any, Any]) -> Comparison:
    control, candidate = (
        Spent(**{item.name: row[f"{side}_{item.name}"] for item in fields(Spent)}) for side in schema.SIDES
    )
    agreement = truth = None
    if row["matched"] is not None:
        agreement = Agreement(**{item.name: row[item.name] for item in fields(Agreement)})
    if row["truth_wanted"] is not None:
        truth = Rightness(**{item.name: row[f"truth_{item.name}"] for item in fields(Rightness)})
    shared = {name: row[name] for name in _SHARED}
    return Comparison(**shared, control_spent=control, candidate_spent=candidate, agreement=agreement, truth=truth)
