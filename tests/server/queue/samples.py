"""Jobs to hand in, without a document behind them."""

from __future__ import annotations

from uuid import uuid4

from cloister.v1 import ocr_pb2
from server.queue.job import Submission


def submission(key: str, job: str = "", tenant: str = "") -> Submission:
    """A job whose reading has ``key``."""
    options = ocr_pb2.RecognizeOptions(context=ocr_pb2.RequestContext(tenant=tenant))
    return Submission(
        job=job or uuid4().hex,
        name=f"{key}.png",
        key=key,
        document=f"documents/{uuid4().hex}",
        size=3,
        options=options,
    )
