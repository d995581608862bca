"""Stands before every service of a server: finds out who calls, and has it taken down.

A caller that shows a bad credential, or none, is turned away before its document is looked at. Services learn who calls
by `server.door.caller.current`. A `CloisterError` they raise becomes the call's status, which may be held back (see
`server.door.refusals`); nothing of the document is held with it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from server.door.audit import Audit, Entry
from server.door.caller import ANY_TENANT, Caller, Credential, enter
from server.door.guard import Guard
from server.door.refusals import Refusals
from server.errors import CloisterError, CredentialError, OptionsError, Reason, bare, received, trailers
from server.uploads import lingering

# grpc.aio's own stubs leave request and response types open.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Any], Any]
Deserialize: TypeAlias = Callable[[bytes], Message] | None
Serialize: TypeAlias = Callable[[Message], bytes] | None

# What load balancers ask has no credential, and tells nothing of anybody's.
OPEN_SERVICES = ("grpc.health.v1.Health",)


_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # missing from its stubs
# Refused streams that are listened to a little longer, each with a message in memory.
_MOST_LINGERING = 8


class Door(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """For `grpc.aio.server`. All but `OPEN_SERVICES` are behind it, those that are added later too."""

    def __init__(self, guard: Guard, audit: Audit | None, refusals: Refusals) -> None:
        self._guard = guard
        self._audit = audit
        self._refusals = refusals
        self._lingering = 0

    async def intercept_service(  # type: ignore[override]  # its stubs have it return no handler's type
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(details)
        if handler is None or details.method.lstrip("/").rpartition("/")[0] in OPEN_SERVICES:
            return handler
        try:
            credential = self._guard.shown(details.invocation_metadata)
        except CredentialError as error:
            return self._refusing(handler, error, _Record(details.method, self._audit))
        return self._behind(handler, credential, _Record(details.method, self._audit))

    def _behind(self, handler: Handler, credential: Credential | None, record: _Record) -> Handler:
        """``handler``, with its caller found out before it and its call taken down."""

        def admit(context: Context) -> CredentialError | None:
            try:
                shown = credential or self._guard.of_connection(context.auth_context())
            except CredentialError as error:
                return error
            enter(record.of(Caller(shown)))
            return None

        kind, behaviour = _behaviour(handler)
        # gRPC would keep a single request until the call's end, as it came and parsed. It is the same on the wire.
        single = handler.unary_unary is not None
        if inspect.isasyncgenfunction(behaviour):

            async def generate(request: Any, context: Context) -> AsyncIterator[Any]:
                with record.taken_down(context):
                    if (refusal := admit(context)) is not None:
                        await _abort(context, refusal)
                    async for response in behaviour(request, context):
                        yield response

            admitted: Behaviour = generate
        elif inspect.iscoroutinefunction(behaviour):

            async def answer(requests: AsyncIterator[Any], context: Context) -> Any:
                with record.taken_down(context):
                    if (stranger := admit(context)) is not None:
                        await _abort(context, stranger)
                    try:
                        # The request has no name here: a call that is held back must not hold its document.
                        return await behaviour(await _only(context) if single else requests, context)
                    except CloisterError as raised:
                        refusal = bare(raised)
                    await self._refusals.pace(refusal, context.peer(), context.time_remaining())
                    return await _abort(context, refusal)

            admitted = answer
            if single:
                kind = grpc.stream_unary_rpc_method_handler
        else:
            raise TypeError(f"{record.method} is no method of asyncio's, and none other can be behind the door")
        return kind(
            admitted,
            request_deserializer=record.counting_received(handler.request_deserializer),
            response_serializer=record.counting_sent(handler.response_serializer),
        )

    def _refusing(self, handler: Handler, error: CredentialError, record: _Record) -> Handler:
        """In place of ``handler``. A single request is never received; of a stream, what is on its way is dropped."""

        async def refuse(requests: AsyncIterator[object], context: Context) -> None:
            with record.taken_down(context):
                if handler.request_streaming and self._lingering < _MOST_LINGERING:
                    self._lingering += 1
                    try:
                        async with lingering(requests, context):
                            raise error
                    except CredentialError:
                        pass
                    finally:
                        self._lingering -= 1
                await _abort(context, error)

        # Whatever kind the call is of: that of the response makes no difference where there is none, and requests that
        # are a stream to this side are not waited for.
        return grpc.stream_stream_rpc_method_handler(refuse)


class _Record:
    """What the audit log gets of one call; nothing, where there is no such log."""

    def __init__(self, method: str, audit: Audit | None) -> None:
        self.method = method
        self._entry: Entry | None = None if audit is None else audit.entry()
        self._caller: Caller | None = None
        self._code: grpc.StatusCode | None = None
        self._began_s = perf_counter()

    def of(self, caller: Caller) -> Caller:
        self._caller = caller
        return caller

    @contextmanager
    def taken_down(self, context: Context) -> Iterator[None]:
        """Around what serves the call. Its line is written once the answer has left."""
        if self._entry is None:
            yield
            return
        peer = context.peer()
        # Its stub is a class where any callable will do.
        context.add_done_callback(lambda _: self._end(context, peer))  # type: ignore[arg-type]
        try:
            yield
        except grpc.aio.AbortError:
            raise  # the context knows its code
        except (asyncio.CancelledError, GeneratorExit, grpc.aio.InternalError):
            late = context.time_remaining() == 0
            self._code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
            raise
        except Exception:
            self._code = grpc.StatusCode.UNKNOWN
            raise

    def counting_received(self, deserialize: Deserialize) -> Deserialize:
        if (entry := self._entry) is None or deserialize is None:
            return deserialize

        def counted(raw: bytes) -> Message:
            message = deserialize(raw)
            entry.received(message, len(raw))
            return message

        return counted

    def counting_sent(self, serialize: Serialize) -> Serialize:
        if (entry := self._entry) is None or serialize is None:
            return serialize

        def counted(message: Message) -> bytes:
            raw = serialize(message)
            entry.sent(len(raw))
            return raw

        return counted

    def _end(self, context: Context, peer: str) -> None:
        assert self._entry is not None, "it takes calls down"
        code = self._code or context.code() or grpc.StatusCode.OK
        fields: dict[str, object] = {
            "request_id": "",
            "tenant": "",
            "credential": "",
            "peer": peer,
            "method": self.method,
            "code": code.name,
            "seconds": round(perf_counter() - self._began_s, 4),
        }
        if (caller := self._caller) is not None:
            own = caller.credential.tenant
            fields |= {
                "request_id": caller.request_id,
                "tenant": caller.acts_for or ("" if own == ANY_TENANT else own),
                "credential": caller.credential.id,
            }
        if code is not grpc.StatusCode.OK:
            fields["reason"] = received(code, "", context.trailing_metadata() or ()).reason
        self._entry.end(fields)


def _behaviour(handler: Handler) -> tuple[Callable[..., Handler], Behaviour]:
    """What makes a handler of this one's kind, and what serves its calls."""
    kinds: tuple[tuple[Callable[..., Handler], Behaviour | None], ...] = (
        (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
        (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
        (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
        (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
    )
    for kind, behaviour in kinds:
        if behaviour is not None:
            return kind, behaviour
    raise TypeError("a handler serves one kind of call")


async def _only(context: Context) -> Any:
    """The request of a call that has one. Raises `OptionsError` where none comes that could be read."""
    try:
        # Not through gRPC's iterator, which keeps what it gave last.
        request = await context.read()
    except DecodeError:
        request = _EOF
    if request is _EOF:
        raise OptionsError(Reason.INVALID_OPTIONS, "the call's message is not what this RPC takes, or there is none")
    return request


async def _abort(context: Context, error: CloisterError) -> NoReturn:
    await context.abort(error.code, error.message, trailers(error))
