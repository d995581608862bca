"""Callers of an OCR server: so many at a time (closed loop), or so many a second whatever becomes of them (open loop).

The open loop draws the times between arrivals from an exponential distribution, and counts each answer from when its
request was due, not from when it got its turn: a server that stalls must not quieten its own callers ("coordinated
omission"). Calls are neither retried nor parsed here.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, median

import grpc
import numpy as np

from cloister.v1 import ocr_pb2
from server.errors import received

_METHOD = "/cloister.v1.OcrService/Recognize"
_WARM_UP = 0.15
"""Share of a run that is not counted: until as many requests are inside as will be."""
_PARTS = 3
_STEADY = 0.2


class End(StrEnum):
    """How a call ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """RESOURCE_EXHAUSTED, told at once."""
    LATE = "late"
    """DEADLINE_EXCEEDED."""
    FAILED = "failed"


_ENDS = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: End.REFUSED,
    grpc.StatusCode.DEADLINE_EXCEEDED: End.LATE,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call; times in s from the start of the run. ``back_in_s``: how long the server told its caller to wait."""

    due_s: float
    ended_s: float
    end: End
    back_in_s: float = 0.0

    @property
    def seconds(self) -> float:
        return self.ended_s - self.due_s


@dataclass(frozen=True, slots=True)
class Latency:
    """Of what was answered, in ms."""

    p50: float
    p90: float
    p95: float
    p99: float
    mean: float

    @classmethod
    def of(cls, calls: Sequence[Call]) -> Latency | None:
        if not calls:
            return None
        times = 1e3 * np.asarray([call.seconds for call in calls])
        p50, p90, p95, p99 = (float(cut) for cut in np.quantile(times, (0.5, 0.9, 0.95, 0.99)))
        return cls(p50, p90, p95, p99, float(times.mean()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run showed, its warm-up left out.

    ``offered_per_s``: calls that were due. ``answered_per_s``: calls that were answered in that time, the goodput.
    ``steady``: whether thirds of the run differ by at most a fifth from their mean, in answers a second and in the
    median of their time; where not, the figures are those of a change, not of a state.
    """

    seconds: float
    offered_per_s: float
    answered_per_s: float
    ends: dict[str, int]
    latency_ms: Latency | None
    steady: bool
    spread: float
    """The largest such difference, as part of the mean."""


def outcome(calls: Sequence[Call], seconds: float, *, drawn: bool = False) -> Outcome:
    """Of all calls of a run whose arrivals lasted so long; ``drawn`` where they came at random times.

    Of those, some thirds have more than others: what is compared then are answers for each call that was due. A third
    should hold every page once at least, or it differs by its pages.
    """
    start = _WARM_UP * seconds
    span = seconds - start
    due = [call for call in calls if start <= call.due_s < seconds]
    answered = [call for call in calls if call.end is End.ANSWERED and start <= call.ended_s < seconds]
    edges = [start + span * part / _PARTS for part in range(_PARTS + 1)]
    parts = [[call for call in answered if low <= call.ended_s < high] for low, high in itertools.pairwise(edges)]
    spread = 1.0
    if all(parts):
        came = [sum(low <= call.due_s < high for call in due) for low, high in itertools.pairwise(edges)]
        rates = [
            len(part) / max(1, count) if drawn else float(len(part)) for part, count in zip(parts, came, strict=True)
        ]
        medians = [median(call.seconds for call in part) for part in parts]
        spread = max(_spread(rates), _spread(medians))
    return Outcome(
        seconds=span,
        offered_per_s=len(due) / span,
        answered_per_s=len(answered) / span,
        ends={end.value: count for end, count in Counter(call.end for call in due).items()},
        latency_ms=Latency.of([call for call in due if call.end is End.ANSWERED]),
        steady=spread <= _STEADY,
        spread=spread,
    )


def _spread(values: Sequence[float]) -> float:
    middle = fmean(values)
    return max(abs(value - middle) for value in values) / middle


class Callers:
    """Send documents to the server at ``address``, one after the other and from the first again, in one order."""

    def __init__(self, channel: grpc.aio.Channel, documents: Sequence[bytes], engine: str, deadline_s: float) -> None:
        options = ocr_pb2.RecognizeOptions(engine=engine)
        self._requests = [
            ocr_pb2.RecognizeRequest(document=document, options=options).SerializeToString() for document in documents
        ]
        self._call = channel.unary_unary(_METHOD, request_serializer=None, response_deserializer=None)
        self._deadline_s = deadline_s

    async def closed(self, at_once: int, seconds: float, *, heeding: bool = True) -> Outcome:
        """``at_once`` callers, each with its next request as soon as the last has ended, or when it is told to.

        Those that are not ``heeding`` come again at once, whatever they are told.
        """
        requests, calls, started = itertools.cycle(self._requests), list[Call](), time.perf_counter()

        async def caller() -> None:
            while (due_s := time.perf_counter() - started) < seconds:
                call = await self._one(next(requests), started, due_s)
                calls.append(call)
                if heeding:
                    await asyncio.sleep(call.back_in_s)

        await asyncio.gather(*(caller() for _ in range(at_once)))
        return outcome(calls, seconds)

    async def open(self, per_s: float, seconds: float, seed: int = 1) -> Outcome:
        """``per_s`` requests a second on average, at random times."""
        requests, started = itertools.cycle(self._requests), time.perf_counter()
        pending = []
        for due_s in _arrivals(per_s, seconds, seed):
            await asyncio.sleep(max(0.0, due_s - (time.perf_counter() - started)))
            pending.append(asyncio.create_task(self._one(next(requests), started, due_s)))
        return outcome(await asyncio.gather(*pending), seconds, drawn=True)

    async def once(self, at_once: int) -> float:
        """Every document once, ``at_once`` at a time. Returns s; raises RuntimeError where one is not answered."""
        requests, started = iter(self._requests), time.perf_counter()

        async def caller() -> None:
            for request in requests:
                call = await self._one(request, started, 0.0)
                if call.end is not End.ANSWERED:
                    raise RuntimeError(f"a page was {call.end}: pages a second would mean nothing")

        await asyncio.gather(*(caller() for _ in range(at_once)))
        return time.perf_counter() - started

    async def _one(self, request: bytes, started: float, due_s: float) -> Call:
        end, back_in_s = End.ANSWERED, 0.0
        try:
            await self._call(request, timeout=self._deadline_s)
        except grpc.aio.AioRpcError as error:
            end = _ENDS.get(error.code(), End.FAILED)
            back_in_s = received(error.code(), "", error.trailing_metadata() or ()).retry_after_s or 0.0
        return Call(due_s, time.perf_counter() - started, end, back_in_s)


@asynccontextmanager
async def callers(
    address: str, documents: Sequence[bytes], engine: str = "", deadline_s: float = 300.0
) -> AsyncIterator[Callers]:
    """Connected to ``address`` for the length of the block."""
    options = (
        ("grpc.enable_retries", 0),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
    )
    async with grpc.aio.insecure_channel(address, options) as channel:
        yield Callers(channel, documents, engine, deadline_s)


def _arrivals(per_s: float, seconds: float, seed: int) -> Iterator[float]:
    draw = random.Random(seed)
    at_s = draw.expovariate(per_s)
    while at_s < seconds:
        yield at_s
        at_s += draw.expovariate(per_s)
