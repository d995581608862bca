"""Databases to record in."""

from tests.server.databases import cluster, database, postgresql

__all__ = ["cluster", "database", "postgresql"]
