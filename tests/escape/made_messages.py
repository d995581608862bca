"""Messages of the API made up field by field, for `fuzz_requests`."""

from __future__ import annotations

import base64
from collections.abc import Callable

import atheris
from google.protobuf.message import Message

from cloister.v1 import jobs_pb2, ocr_pb2


def printable(provider: atheris.FuzzedDataProvider) -> str:
    """As gRPC sends it."""
    raw = provider.ConsumeBytes(provider.ConsumeIntInRange(0, 120))
    return "".join(chr(0x20 + byte % 0x5F) for byte in raw).strip()


def _text(provider: atheris.FuzzedDataProvider) -> str:
    made = provider.PickValueInList(["", "tiny", "tiny@canary", "tiny@stable", "a", "*", "jobs/x", None])
    if made is None:
        made = provider.ConsumeUnicodeNoSurrogates(provider.ConsumeIntInRange(0, 40))
    return str(made)


def _options(provider: atheris.FuzzedDataProvider) -> ocr_pb2.RecognizeOptions:
    made = ocr_pb2.RecognizeOptions(engine=_text(provider))
    made.outputs.extend(provider.ConsumeIntListInRange(provider.ConsumeIntInRange(0, 5), -2, 9))
    if provider.ConsumeBool():
        made.pdf.existing_text = provider.ConsumeIntInRange(-1, 5)
    if provider.ConsumeBool():
        context = made.context
        context.tenant, context.document_kind, context.client, context.key = (_text(provider) for _ in range(4))
        context.priority = provider.ConsumeIntInRange(-1, 4)
        context.pages = provider.ConsumeUInt(4)
        context.may_be_kept = provider.ConsumeBool()
    return made


def _document(provider: atheris.FuzzedDataProvider) -> bytes:
    return bytes(provider.PickValueInList([b"", b"x", b"%PDF-1.4", bytes((1 << 20) + 1), bytes(1 << 19)]))


def _recognize(provider: atheris.FuzzedDataProvider) -> Message:
    return ocr_pb2.RecognizeRequest(document=_document(provider), options=_options(provider))


def _part(provider: atheris.FuzzedDataProvider) -> Message:
    match provider.ConsumeIntInRange(0, 4):
        case 0:
            return ocr_pb2.RecognizeStreamRequest()
        case 1:
            return ocr_pb2.RecognizeStreamRequest(options=_options(provider))
        case _:
            return ocr_pb2.RecognizeStreamRequest(chunk=_document(provider))


def _submission(provider: atheris.FuzzedDataProvider) -> Message:
    return jobs_pb2.SubmitDocumentRequest(
        document=_document(provider),
        options=_options(provider),
        display_name=_text(provider),
        request_id=_text(provider),
    )


def _listing(provider: atheris.FuzzedDataProvider) -> Message:
    made = jobs_pb2.ListJobsRequest(
        page_size=provider.ConsumeInt(4), page_token=_text(provider), tenant=_text(provider)
    )
    if provider.ConsumeBool():
        place = provider.ConsumeBytes(provider.ConsumeIntInRange(0, 40))
        made.page_token = base64.urlsafe_b64encode(place).decode()
    made.states.extend(provider.ConsumeIntListInRange(provider.ConsumeIntInRange(0, 4), -1, 7))
    return made


MADE: dict[type[Message], Callable[[atheris.FuzzedDataProvider], Message]] = {
    ocr_pb2.RecognizeRequest: _recognize,
    ocr_pb2.RecognizeStreamRequest: _part,
    ocr_pb2.ListEnginesRequest: lambda provider: ocr_pb2.ListEnginesRequest(),
    jobs_pb2.SubmitDocumentRequest: _submission,
    jobs_pb2.GetJobRequest: lambda provider: jobs_pb2.GetJobRequest(name=_text(provider)),
    jobs_pb2.ListJobsRequest: _listing,
    jobs_pb2.CancelJobRequest: lambda provider: jobs_pb2.CancelJobRequest(name=_text(provider)),
}
