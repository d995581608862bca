"""Documents that come in a stream of requests: the options first, then the bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from cloister.v1 import ocr_pb2
from server.errors import CloisterError, OptionsError, Reason

_LINGER_S = 2.0

# grpc.aio's own stubs leave request and response types open.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@asynccontextmanager
async def lingering(requests: AsyncIterator[object], context: Context) -> AsyncIterator[None]:
    """Before a refusal is sent, take what its caller still sends, and drop it.

    A caller that is cut off in mid-send may see that failure instead of the refusal; grpc.aio's clients do. HTTP
    servers linger for the same reason.
    """
    try:
        yield
    except (CloisterError, DecodeError) as error:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                await _drop(requests, context, ended=isinstance(error, DecodeError))
        raise


async def _drop(requests: AsyncIterator[object], context: Context, *, ended: bool) -> None:
    """All that still comes, whether it is a message of ours or none, which ends gRPC's iterator."""
    if not ended:
        try:
            async for _ in requests:
                pass
        except DecodeError:
            ended = True
    while ended:
        with suppress(DecodeError):
            ended = await context.read() is not grpc.aio.EOF  # type: ignore[attr-defined]  # missing from its stubs


async def options(requests: AsyncIterator[ocr_pb2.RecognizeStreamRequest]) -> ocr_pb2.RecognizeOptions:
    """What the first message of a stream holds. Raises `OptionsError` where it holds anything else."""
    first = await anext(requests, None)
    if first is None or first.WhichOneof("part") != "options":
        raise OptionsError(Reason.INVALID_OPTIONS, "the first message of a stream must hold the options")
    return first.options
