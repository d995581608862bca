"""What is handed in: jobs, and the readings that they share.

A job is one document of one caller. A reading is the work: one document under one set of options, read once however
many jobs ask for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cloister.v1 import ocr_pb2

DEFAULT_OUTPUTS = (ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT)


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    """A dead letter: it can't be read, or was tried often enough. `Job.reason` says why."""
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset({State.SUCCEEDED, State.DEAD, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Submission:
    """A job to be."""

    job: str
    name: str
    key: str
    """Of its reading: `reading_key`."""
    document: str
    """Name of its bytes in the store."""
    size: int
    """Bytes of the document."""
    options: ocr_pb2.RecognizeOptions

    @property
    def tenant(self) -> str:
        return self.options.context.tenant


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. Times are seconds since 1970."""

    id: str
    name: str
    tenant: str
    state: State
    submitted_s: float
    changed_s: float
    reading: str
    size: int
    attempts: int
    """Tries that ended in a failure of the document's own."""
    reason: str
    """Of the last failure: a `server.errors.Reason`."""
    message: str
    document: str
    result: str
    """Name of the result in the store; empty until it SUCCEEDED."""
    options: ocr_pb2.RecognizeOptions


def normal(options: ocr_pb2.RecognizeOptions) -> ocr_pb2.RecognizeOptions:
    """Options that ask for the same, alike: outputs sorted, and named where they go without saying."""
    made = ocr_pb2.RecognizeOptions()
    made.CopyFrom(options)
    del made.outputs[:]
    made.outputs.extend(sorted(set(options.outputs or DEFAULT_OUTPUTS)))
    return made


def reading_key(document_digest: str, options: ocr_pb2.RecognizeOptions, engines: str) -> str:
    """Alike for the same bytes under the same options, read by the same ``engines`` (see `engines_of`): hexadecimal.

    Options name the tenant, so that no tenant can find out what another has handed in.
    """
    parts = (document_digest.encode(), normal(options).SerializeToString(deterministic=True), engines.encode())
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def engines_of(named: str, known: Iterable[tuple[str, str, str]]) -> str:
    """The engine ``named``, or all that may be chosen from where none is: (name, version, version of the model).

    NAME@stable and NAME@canary stand for both: which is which may change until the document is read.
    """
    name = named.partition("@")[0]
    return "\n".join(" ".join(engine) for engine in sorted(known) if name in ("", engine[0]))
