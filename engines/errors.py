"""Why an engine can't work.

EngineError
├── UnknownEngineError   none of this name is installed (`engines.registry`)
├── OptionsError         its settings don't suit it
├── MissingError         something it needs is not installed on this host
└── ProgramError         the program that it executes failed, or wrote what can't be read

The first three are found when a server starts; the last ends one request.
"""

from __future__ import annotations


class EngineError(Exception):
    """An engine can't work. The message says why and what to do."""


class OptionsError(EngineError):
    """The settings of an engine don't suit it."""


class MissingError(EngineError):
    """Something an engine needs is not installed on this host."""


class ProgramError(EngineError):
    """A program failed, or wrote what can't be read. Never holds text of a document."""
