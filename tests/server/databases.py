"""Fixtures: databases to record in, SQLite in a file and a PostgreSQL of the tests' own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

CLUSTER = "the cluster"


def programs() -> Path | None:
    """Where Debian keeps the newest PostgreSQL's programs, or wherever initdb is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parents[1].name))
    elsewhere = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(elsewhere).parent if elsewhere else None


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a PostgreSQL that lives as long as the tests, without a database's name."""
    bin_ = programs()
    if bin_ is None:
        pytest.skip("PostgreSQL is missing: apt-get install postgresql")
    # initdb refuses root.
    user = next((u.pw_name for u in pwd.getpwall() if u.pw_name in {"postgres", "nobody"}), None)
    as_user = {} if os.getuid() else {"user": user, "group": pwd.getpwnam(str(user)).pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="cloister-pg-", dir="/tmp"))

    def run(program: str, *arguments: str) -> None:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [bin_ / program, *arguments],
            cwd=folder,
            env=environment,
            check=False,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            **as_user,
        )
        assert done.returncode == 0, done.stderr

    try:
        if as_user:
            shutil.chown(folder, user)
        run("initdb", "-D", "data", "-U", "cloister", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c shared_buffers=16MB"
        run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")
        try:
            yield f"postgresql://cloister@/{{name}}?host={folder}"
        finally:
            run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgresql(cluster: str) -> str:
    """An empty database of PostgreSQL."""
    name = f"records_{os.urandom(4).hex()}"
    engine = create_engine(cluster.format(name="postgres").replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return cluster.format(name=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    address: str = request.getfixturevalue("postgresql")
    return address
