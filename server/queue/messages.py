"""Jobs as the API has them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from cloister.v1 import jobs_pb2
from server.errors import JobError, OptionsError, Reason, status
from server.queue.job import Job, State
from server.queue.opening import Queue

_PREFIX = "jobs/"
STATES = {
    State.WAITING: jobs_pb2.JOB_STATE_WAITING,
    State.RUNNING: jobs_pb2.JOB_STATE_RUNNING,
    State.SUCCEEDED: jobs_pb2.JOB_STATE_SUCCEEDED,
    State.DEAD: jobs_pb2.JOB_STATE_DEAD,
    State.CANCELLED: jobs_pb2.JOB_STATE_CANCELLED,
}


def message(job: Job) -> jobs_pb2.Job:
    """``job`` without its response, which is in the store."""
    metadata = jobs_pb2.JobMetadata(
        state=STATES[job.state],
        display_name=job.name,
        tenant=job.tenant,
        submit_time=_timestamp(job.submitted_s),
        change_time=_timestamp(job.changed_s),
        document_bytes=job.size,
        failed_attempts=job.attempts,
        reason=job.reason,
        message=job.message,
        outputs=job.options.outputs,
    )
    made = jobs_pb2.Job(name=_PREFIX + job.id, metadata=metadata, done=job.state.ended)
    if job.state.ended and job.state is not State.SUCCEEDED:
        made.error.CopyFrom(status(Queue.failure(job)))
    return made


def state_of(job: jobs_pb2.Job) -> State:
    """Raises `OptionsError` where it is one that only a newer version knows."""
    return states_of([job.metadata.state])[0]


def id_of(name: str) -> str:
    """Raises `JobError` (UNKNOWN_JOB) where it is no name of a job."""
    if not name.startswith(_PREFIX) or not name.removeprefix(_PREFIX):
        raise JobError(Reason.UNKNOWN_JOB, "a job's name is jobs/ and its id, as SubmitDocument answered it")
    return name.removeprefix(_PREFIX)


def id_for(tenant: str, request_id: str) -> str:
    """The id of the job that all tries of one submission make; none for an empty ``request_id``."""
    if not request_id:
        return ""
    return hashlib.sha256(f"{len(tenant)} {tenant} {request_id}".encode()).hexdigest()[:32]


def states_of(asked: Iterable[jobs_pb2.JobState.ValueType]) -> list[State]:
    """Raises `OptionsError` where one is not known."""
    known = {value: state for state, value in STATES.items()}
    try:
        return [known[value] for value in asked]
    except KeyError as error:
        raise OptionsError(Reason.INVALID_OPTIONS, f"there is no state {error.args[0]}") from error


def token(job: Job) -> str:
    """The place in a list after ``job``."""
    return base64.urlsafe_b64encode(f"{job.submitted_s!r} {job.id}".encode()).decode()


def place(page_token: str) -> tuple[float, str] | None:
    """What `token` made one of. Raises `OptionsError` where it did not."""
    if not page_token:
        return None
    try:
        at_s, _, id_ = base64.urlsafe_b64decode(page_token).decode().partition(" ")
        return float(at_s), id_
    except (ValueError, binascii.Error) as error:
        raise OptionsError(Reason.INVALID_OPTIONS, "page_token is none that ListJobs answered") from error


def _timestamp(seconds: float) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(round(seconds * 1e9))
    return made
