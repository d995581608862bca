"""Queues of the tests' own: their databases, stores and brokers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.brokers import BrokerMissingError, RabbitMQ, Redis
from server.queue.leases import Leases
from server.queue.ledger import Ledger
from tests.server.databases import cluster, database, postgresql

__all__ = ["cluster", "database", "postgresql"]


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    """An empty one on each kind of database, for 100 open documents."""
    made = Ledger(database, most_open=100)
    yield made
    made.close()


@pytest.fixture
def leases(ledger: Ledger) -> Leases:
    return Leases(ledger.prepare(), lease_s=30.0)


@pytest.fixture
def redis() -> Iterator[Redis]:
    """Keeps what it has over a restart."""
    try:
        broker = Redis()
    except BrokerMissingError as error:
        pytest.skip(str(error))
    with broker:
        yield broker


@pytest.fixture
def forgetful_redis() -> Iterator[Redis]:
    """Loses what it has with every restart."""
    try:
        broker = Redis(durable=False)
    except BrokerMissingError as error:
        pytest.skip(str(error))
    with broker:
        yield broker


@pytest.fixture
def rabbitmq() -> Iterator[RabbitMQ]:
    try:
        broker = RabbitMQ()
    except BrokerMissingError as error:
        pytest.skip(str(error))
    with broker:
        yield broker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a queue without services."""
    return tmp_path / "queue"
