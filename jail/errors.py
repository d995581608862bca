"""What can go wrong with the jail itself. What goes wrong with one request is a `jail.result.Result`.

JailError
├── SpecError         a setting that can't be used
├── PolicyError       a seccomp policy that can't be read, with file and line
├── SetUpError        a layer that can't be set up on this host: which, why, and what to change
├── LoadError         the job could not be loaded in the zygote
├── RehearsalError    cells end before they are ready, though every layer was set up
├── ZygoteError       the zygote ended or fell silent
└── PoolClosedError   a request given to a pool that is closed or was never started
"""

from __future__ import annotations

from jail.layers import Layer


class JailError(Exception):
    """Anything that keeps the jail from running jobs. Its text is for the operator."""


class SpecError(JailError):
    """A value given to the pool that can't be used."""


class PolicyError(JailError):
    """A policy that can't be read or compiled. ``line`` counts from 1; 0 means the file as a whole."""

    def __init__(self, path: str, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}" if line else f"{path}: {what}")
        self.path = path
        self.line = line
        self.what = what


class SetUpError(JailError):
    """A layer that can't be set up: ``why`` it failed, and the change on the host (``fix``) that would let it."""

    def __init__(self, layer: Layer, why: str, fix: str) -> None:
        super().__init__(f"layer {layer}: {why}. To fix it: {fix}")
        self.layer = layer
        self.why = why
        self.fix = fix


class LoadError(JailError):
    """The job could not be made or loaded in the zygote; the text holds its traceback."""


class RehearsalError(JailError):
    """A cell ended before it was ready, though every layer was set up: the job's rehearsal does not fit its jail."""


class ZygoteError(JailError):
    """The zygote ended, or does not answer."""


class PoolClosedError(JailError):
    """A request given to a pool that is closed or was never started."""
