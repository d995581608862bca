"""Databases by address: SQLite in a file, or PostgreSQL where several processes or hosts share one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.schema import CreateIndex, CreateTable

_CONNECT_S = 5
_STATEMENT_MS = 15_000


class DatabaseError(Exception):
    """A database that can't be used as it is. Says what to do."""


def parsed(address: str, setting: str) -> URL:
    """``address`` as SQLAlchemy has it. Raises `DatabaseError`, which names ``setting``."""
    try:
        url = make_url(address)
    except ArgumentError as error:
        # Without what was given: it may hold a password.
        raise DatabaseError(f"{setting} is no address; write sqlite:///FILE or postgresql://HOST/NAME") from error
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise DatabaseError(f"{setting} names a {url.get_backend_name()}; take sqlite or postgresql")
    return url


def engine_for(url: URL, setting: str, pragmas: Sequence[str] = (), busy_s: float = _CONNECT_S) -> Engine:
    """Connects when first used. Raises `DatabaseError` where a driver is missing.

    ``pragmas`` are for SQLite, and so are the ``busy_s`` seconds that a transaction waits for others to end.
    """
    sqlite = url.get_backend_name() == "sqlite"
    bounds: dict[str, Any] = (
        {"timeout": busy_s}
        if sqlite
        else {"connect_timeout": _CONNECT_S, "options": f"-c statement_timeout={_STATEMENT_MS}"}
    )
    try:
        engine = create_engine(url, connect_args=bounds, pool_pre_ping=not sqlite)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise DatabaseError(f"{setting}: {error}; install cloister[postgresql]") from error
    if sqlite:
        event.listen(engine, "connect", lambda connection, _: _set_up_sqlite(connection, pragmas))
        event.listen(engine, "begin", _begin)
    return engine


def writing(engine: Engine) -> Engine:
    """``engine`` for transactions that read and then write.

    In SQLite they wait for each other from their start: one that reads first can't be let to write once another has.
    """
    return engine.execution_options(cloister_writes=True)


def prepare(engine: Engine, metadata: MetaData) -> None:
    """Make the tables where there are none. Raises `DatabaseError` where there are others of their names."""
    if engine.url.get_backend_name() == "sqlite":
        _create_private(engine.url.database)
    try:
        _create_tables(engine, metadata)
    except DBAPIError:
        # PostgreSQL refuses who makes them at the same moment as another process; once that is done, they are there.
        _create_tables(engine, metadata)
    there = inspect(engine)
    for table in metadata.sorted_tables:
        missing = {column.name for column in table.columns} - {c["name"] for c in there.get_columns(table.name)}
        if missing:
            raise DatabaseError(
                f"{place(engine.url)}: {table.name} was made by another version and lacks "
                f"{', '.join(sorted(missing))}; move that table away"
            )


def place(url: URL) -> str:
    """The database's address without its password, for logs."""
    return url.render_as_string(hide_password=True)


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("cloister_writes"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver's own would come with the first write


def _set_up_sqlite(connection: Any, pragmas: Sequence[str]) -> None:
    cursor = connection.cursor()
    # Who reads does not stop who writes, and what is deleted is overwritten.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON", *pragmas):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _create_tables(engine: Engine, metadata: MetaData) -> None:
    """All in one transaction: what another process is making is there whole, or not yet."""
    with writing(engine).begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))


def _create_private(database: str | None) -> None:
    """SQLite would make the file for everyone to read."""
    if database and database != ":memory:":
        with suppress(OSError):  # SQLite says it better
            os.close(os.open(Path(database), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
