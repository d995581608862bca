"""Finds engines by the entry point group ``cloister.engines``, so that one can live in a package of its own.

An entry point names a class that fulfils `engines.api.Engine`. It is called with the engine's options, a table of the
settings. Making an engine is cheap and reads no model: the server does it to say which engines there are; only a zygote
calls `Engine.load`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from engines.api import Engine
from engines.errors import EngineError, MissingError, OptionsError

GROUP = "cloister.engines"
ADAPTER = "adapter"
"""The option that names the entry point, where it is not the engine's own name: one adapter may serve several SDKs."""


class UnknownEngineError(EngineError, LookupError):
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


def create(name: str, options: Mapping[str, object] | None = None) -> Engine:
    """Make the engine ``name``, not loaded yet, with ``options`` as its keyword arguments.

    The option ``adapter`` names another entry point than ``name``; the engine is still called ``name``. Raises
    `UnknownEngineError`, and `OptionsError` or `MissingError` where the engine can't be made.
    """
    options = dict(options or {})
    adapter = options.pop(ADAPTER, name)
    try:
        point = _points()[str(adapter)]
    except KeyError:
        raise UnknownEngineError(str(adapter)) from None
    try:
        made = point.load()
    except (ImportError, AttributeError) as error:
        raise MissingError(
            f"engine {name!r} can't be imported from {point.value}: {error}; install its extra"
        ) from error
    try:
        inspect.signature(made).bind(**options)
    except TypeError as error:
        raise OptionsError(f"engine {name!r}: {error}; mend its table in the settings") from error
    engine: Engine = made(**options)
    engine.name = name
    return engine


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
