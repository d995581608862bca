"""Coverage-guided fuzzing of what the server makes of a call: ``python -m tests.escape.fuzz_requests``.

The real services behind the real door, over a real channel; what comes is metadata with credentials, messages made up
field by field, and bytes that may be no message. No cell is there: a request that gets so far ends as one that finds
none, as what a cell makes of a document is not the server's to know. (`test_documents` has cells, `fuzz_replies` what
they answer.) Takes libFuzzer's options, as ``-max_total_time=600``. Ends with a traceback where a call ends as none is
planned to, or the log says that the server made a mistake.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import shutil
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import atheris
import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import DecodeError, Message

from cloister.v1 import jobs_pb2, ocr_pb2
from tests.escape.made_messages import MADE, printable

# See fuzz_replies.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]

with atheris.instrument_imports(include=["server", "jwt"], exclude=["server.cli"]):
    import jwt

    from server import service, telemetry
    from server.admission import Admission
    from server.door import keys
    from server.errors import Reason, received
    from server.experiments import Experiments
    from server.health import Health
    from server.hosts import EngineHost
    from server.lineup import Lineup
    from server.listening import listening
    from server.pools import pool
    from server.queue import service as job_service
    from server.queue.opening import Queue
    from server.queue.service import JobService
    from server.quotas import Quotas
    from server.sections import LogFormat
    from server.service import OcrService
    from server.settings import Settings
    from tests.server.conftest import tiny, tiny_settings

_FOLDER = Path("build/fuzz-requests")
"""Of the server: its keys, its flags, its queue."""
_OPEN = 40
"""Jobs that the queue takes."""
_TIMEOUT_S = 60.0
_PLANNED = {
    None,
    Reason.EMPTY_DOCUMENT,
    Reason.DOCUMENT_TOO_LARGE,
    Reason.UNKNOWN_ENGINE,
    Reason.INVALID_OPTIONS,
    Reason.NO_CREDENTIAL,
    Reason.INVALID_CREDENTIAL,
    Reason.CREDENTIAL_EXPIRED,
    Reason.OTHER_TENANT,
    Reason.QUEUE_FULL,
    Reason.NO_CELL,
    Reason.UNKNOWN_JOB,
}
"""What a call can end with here; None where it is answered."""
_MISTAKES = ("mistake", "queue unreachable", "Traceback")
_FLAGS = {
    "flags": {
        "engine": {
            "state": "ENABLED",
            "variants": {"control": "tiny"},
            "defaultVariant": "control",
            "targeting": {
                "if": [
                    {"starts_with": [{"var": "tenant"}, "a"]},
                    {"fractional": [["control", 50], ["control", 50]]},
                    {">": [{"var": "pages"}, 3]},
                    "control",
                    {"in": [{"var": "documentKind"}, {"var": "client"}]},
                    {"fractional": [{"var": "client"}, ["control", 50], ["control", 50]]},
                    "control",
                ]
            },
        }
    }
}


@dataclass(frozen=True, slots=True)
class _Rpc:
    path: str
    takes: type[Message]
    streams: bool = False


_RPCS = (
    _Rpc(f"/{service.NAME}/Recognize", ocr_pb2.RecognizeRequest),
    _Rpc(f"/{service.NAME}/RecognizeStream", ocr_pb2.RecognizeStreamRequest, streams=True),
    _Rpc(f"/{service.NAME}/ListEngines", ocr_pb2.ListEnginesRequest),
    _Rpc(f"/{job_service.NAME}/SubmitDocument", jobs_pb2.SubmitDocumentRequest),
    _Rpc(f"/{job_service.NAME}/GetJob", jobs_pb2.GetJobRequest),
    _Rpc(f"/{job_service.NAME}/ListJobs", jobs_pb2.ListJobsRequest),
    _Rpc(f"/{job_service.NAME}/CancelJob", jobs_pb2.CancelJobRequest),
)


@dataclass(frozen=True, slots=True)
class _Call:
    rpc: _Rpc
    metadata: tuple[tuple[str, str], ...]
    messages: tuple[bytes, ...]

    @property
    def readable(self) -> bool:
        """Whether all its messages are of the type that they should be."""
        try:
            for message in self.messages:
                self.rpc.takes.FromString(message)
        except DecodeError:
            return False
        return True


class _Callers:
    """What callers show: good keys, texts, and tokens of whatever content, well signed or not."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.jwks = folder / "keys", folder / "jwks"
        self._good = [keys.add(self.keys, tenant) for tenant in ("a", "*")]
        self.good = (("authorization", f"Bearer {self._good[1]}"),)
        self._signer = Ed25519PrivateKey.generate()
        public = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(self._signer.public_key()))
        self.jwks.write_text(json.dumps({"keys": [public | {"kid": "k", "alg": "EdDSA", "use": "sig"}]}))

    def metadata(self, provider: atheris.FuzzedDataProvider) -> tuple[tuple[str, str], ...]:
        shown = provider.ConsumeIntInRange(0, 7)
        if shown == 0:
            return ()
        if shown == 1:
            return (("traceparent", printable(provider)), *self.good)
        if shown > 5:
            return self.good
        made = {
            2: lambda: printable(provider),
            3: lambda: f"Bearer {printable(provider)}",
            4: lambda: f"Bearer {self._token(provider)}",
            5: lambda: f"bearer {self._good[0]}",
        }
        return (("authorization", made[shown]()),)

    def _token(self, provider: atheris.FuzzedDataProvider) -> str:
        header = provider.PickValueInList([b'{"alg":"EdDSA","kid":"k"}', b'{"alg":"none"}', None])
        if header is None:
            header = provider.ConsumeBytes(provider.ConsumeIntInRange(0, 200))
        signs = provider.ConsumeBool()
        claims = provider.PickValueInList([b'{"aud":"us","exp":99999999999,"tenant":"a"}', None])
        if claims is None:
            claims = provider.ConsumeBytes(provider.ConsumeIntInRange(0, 200))
        content = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, claims))
        signature = self._signer.sign(content) if signs else b"x"
        return (content + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


class _Target:
    """A server that listens for the life of this process, and what is sent to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._callers = _Callers(self._folder)
        self._log = io.StringIO()
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._channel: grpc.aio.Channel
        self._admission: Admission
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        (self._folder / "flags.json").write_text(json.dumps(_FLAGS))
        settings: Settings = tiny_settings(
            authentication={"keys": self._callers.keys, "jwks": self._callers.jwks, "audience": "us"},
            audit={"to": "log"},
            experiments={"flags": self._folder / "flags.json"},
            queue={"serve": True, "folder": self._folder / "queue", "open": _OPEN},
        )
        log = telemetry.logger(LogFormat.JSON, self._log)
        quotas, lineup, entry = Quotas(settings.quotas), Lineup(), tiny()
        self._admission = Admission(settings.cells.busy, settings.limits.queue, quotas)
        lineup.take(EngineHost(entry, pool(settings, entry), self._admission))
        ocr = OcrService(settings, log)
        jobs = JobService(Queue.opened(settings.queue), lambda: [entry], settings.limits.document_bytes, log)
        health = Health((service.NAME, job_service.NAME), [entry.name])
        assert settings.experiments.flags is not None
        experiments = Experiments(
            settings.experiments.flags, default=settings.default, engines=[entry.name], candidates=[], log=log
        )
        # Kept: the server lives as long as who is to end it.
        self._stack = AsyncExitStack()
        address = await listening(settings, ocr, jobs, health, log=log, stack=self._stack)
        ocr.serve(lineup, experiments)
        self._channel = grpc.aio.insecure_channel(address, options=[("grpc.max_send_message_length", -1)])
        await self._try()

    async def _try(self) -> None:
        """Calls whose ends are known: should they end otherwise, nothing that is sent would get anywhere."""
        request = ocr_pb2.RecognizeRequest(document=b"x").SerializeToString()
        assert await self._sent(_Call(_RPCS[0], (), (request,))) == Reason.NO_CREDENTIAL
        shown = self._callers.good
        assert await self._sent(_Call(_RPCS[0], shown, (request,))) == Reason.NO_CELL
        chunk = ocr_pb2.RecognizeStreamRequest(chunk=b"x").SerializeToString()
        options = ocr_pb2.RecognizeStreamRequest(options=ocr_pb2.RecognizeOptions()).SerializeToString()
        assert await self._sent(_Call(_RPCS[1], shown, (options, chunk))) == Reason.NO_CELL
        assert await self._sent(_Call(_RPCS[1], shown, (chunk,))) == Reason.INVALID_OPTIONS
        assert await self._sent(_Call(_RPCS[3], shown, (request,))) is None

    def one(self, data: bytes) -> None:
        call = self._made(atheris.FuzzedDataProvider(data))
        end = self._loop.run_until_complete(self._sent(call))
        # Of a message alone that is none gRPC says so itself, before there is a service to ask.
        planned = _PLANNED if call.readable or call.rpc.streams else {*_PLANNED, Reason.UNREACHABLE}
        assert end in planned, (end, call)
        said = self._log.getvalue()
        assert not any(word in said for word in _MISTAKES), (said[-4000:], call)
        assert not self._admission.inside, call
        self._log.seek(0)
        self._log.truncate()

    def _made(self, provider: atheris.FuzzedDataProvider) -> _Call:
        rpc = _RPCS[provider.ConsumeIntInRange(0, len(_RPCS) - 1)]
        metadata = self._callers.metadata(provider)
        count = provider.ConsumeIntInRange(0, 4) if rpc.streams else 1
        messages = []
        for _ in range(count):
            if provider.ConsumeIntInRange(0, 3):
                messages.append(MADE[rpc.takes](provider).SerializeToString())
            else:
                messages.append(provider.ConsumeBytes(provider.ConsumeIntInRange(0, 200)))
        return _Call(rpc, metadata, tuple(messages))

    async def _sent(self, call: _Call) -> Reason | None:
        """Why the call failed; None where it did not. UNREACHABLE stands for what was not said by a service of ours."""
        if call.rpc.streams:
            sent = self._channel.stream_stream(call.rpc.path)(timeout=_TIMEOUT_S, metadata=call.metadata)
            # A refusal may come before all is said.
            with suppress(grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
                for message in call.messages:
                    await sent.write(message)
                await sent.done_writing()
        else:
            asked = self._channel.unary_unary(call.rpc.path)
            sent = asked(call.messages[0], timeout=_TIMEOUT_S, metadata=call.metadata)
        code = await sent.code()
        if code is grpc.StatusCode.OK:
            return None
        return received(code, await sent.details(), await sent.trailing_metadata()).reason


def main() -> None:
    logging.disable()  # gRPC's own: it would tell of each message that is none
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    atheris.Setup(sys.argv, _Target(_FOLDER).one)
    atheris.Fuzz()  # which ends the process


if __name__ == "__main__":
    main()
