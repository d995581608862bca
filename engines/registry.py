"""Finds engines by the entry point group ``cloister.engines``, so that one can live in a package of its own.

An entry point names a class without constructor arguments that fulfils `engines.api.Engine`. Making one is cheap and
reads no model: the server does it to say which engines there are; only a zygote calls `Engine.load`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from engines.api import Engine

GROUP = "cloister.engines"


class UnknownEngineError(LookupError):
    """No engine of this name is installed."""

    def __init__(self, name: str) -> None:
        self.name = name
        known = ", ".join(names()) or "none"
        super().__init__(
            f"no engine named {name!r} is installed (there are: {known}); install the package that brings it or mend"
            " the name in the settings"
        )


def names() -> tuple[str, ...]:
    """Names of all installed engines, sorted."""
    return tuple(sorted(_points()))


def create(name: str) -> Engine:
    """Make the engine ``name``, not loaded yet. Raises `UnknownEngineError`."""
    try:
        point = _points()[name]
    except KeyError:
        raise UnknownEngineError(name) from None
    engine: Engine = point.load()()
    return engine


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
