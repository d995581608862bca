"""The section of the settings that is about the queue."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from server.sections import Metrics, Section


class Queue(Section):
    serve: bool = False
    """whether `cloister serve` takes jobs too, by cloister.v1.JobService"""
    folder: Path = Path("cloister-queue")
    """folder of the jobs, documents, results and messages that the settings below do not put elsewhere"""
    database: str = ""
    """where jobs are recorded: sqlite:///FILE or postgresql://HOST/NAME; by default a file in the folder"""
    store: str = ""
    """where documents and results lie: a folder, s3://BUCKET/PREFIX, or another URL of fsspec's; by default in the
    folder"""
    store_options: dict[str, Any] = Field(default_factory=dict)
    """what fsspec's file system of the store takes beside its URL, as endpoint_url for s3"""
    broker: str = ""
    """what carries messages to workers: redis://HOST/0, amqp://USER:PASSWORD@HOST//, or another URL of Celery's; by
    default files in the folder, with no service to start"""
    server: str = ""
    """address of the server that workers have documents read by; by default each runs one of its own"""
    concurrency: Annotated[int, Field(gt=0)] = Field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """documents that one worker has read at the same time; by default one for each CPU"""
    attempts: Annotated[int, Field(gt=0)] = 3
    """times a document may fail by its own fault before it is a dead letter; refusals for now do not count"""
    losses: Annotated[int, Field(gt=0)] = 10
    """times a worker may end while it has a document read, before that is a dead letter"""
    deadline_s: Annotated[float, Field(gt=0)] = 300.0
    """seconds one try may take"""
    lease_s: Annotated[float, Field(ge=1)] = 30.0
    """seconds after the last word of a worker until others take over what it had read"""
    poll_s: Annotated[float, Field(gt=0)] = 1.0
    """seconds between looks of a worker for jobs that wait to be sent to the broker"""
    resend_s: Annotated[float, Field(gt=0)] = 30.0
    """seconds after which a message that is neither delivered nor in the broker is sent again"""
    open: Annotated[int, Field(gt=0)] = 100_000
    """documents that may wait or be read; further ones are refused with QUEUE_FULL"""
    keep_days: Annotated[float, Field(gt=0)] = 7.0
    """days after which a job that has ended is forgotten, with its document and its result"""
    metrics: Metrics = Field(default_factory=Metrics)
    """where a worker shows its metrics, beside those of a server on the same host: [queue.metrics]"""
