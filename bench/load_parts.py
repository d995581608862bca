"""The parts of `bench.load`, each a figure or a row of them."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.arrivals import Callers, End, Outcome, callers
from bench.embedded import Cloister
from bench.peer_server import PeerServer
from bench.unjailed import Unjailed
from bench.usage import CLOISTER, PEER, Use, Watch, pss_mib

OURS = "cloister"

_CLOSED = (1, 2, 4, 8, 16)
_LOADED = 0.8
_OVERLOADED = 2.0
_RATES = (0.2, 0.5, _LOADED, 1.0, 1.25, 1.5, _OVERLOADED)
"""Of what the server can do."""
_BUSY = (1, 2, 4)
_AT_LEAST = 60
"""Pages that are read in a turn where cells are compared: at its end one of two waits for the other's last."""
_MOST_S = 300.0


@dataclass(frozen=True, slots=True)
class Side:
    """A server reading all pages, some rounds long. Prices are in the currency of a core's.

    ``price_per_1000``: all cores of the machine for as long as it took; ``price_of_cpu_per_1000``: the CPU time alone.
    """

    pages: int
    seconds: float
    pages_per_s: float
    pages_per_s_by_round: list[float]
    cpu_s_per_page: float
    price_per_1000: float
    price_of_cpu_per_1000: float
    uses: dict[str, Use]


@dataclass(frozen=True, slots=True)
class Cells:
    """Pages a second with one cell and with two, and how many times the first the second is, by round.

    One cell has its successors made on the other core. So beside them: one cell with all of its server on one core, and
    what two processes read beside one where there is no server, no jail and no fork, which is what the machine gives.
    """

    one_per_s: float
    two_per_s: float
    ratio: float
    ratios: list[float]
    one_core_per_s: float
    cores_ratio: float
    processes_ratio: float


@dataclass(frozen=True, slots=True)
class Step:
    """So many callers at a time. ``price_per_1000`` is of all cores."""

    at_once: int
    outcome: Outcome
    price_per_1000: float
    uses: dict[str, Use]


@dataclass(frozen=True, slots=True)
class Heedless:
    """Callers who come again as soon as they are refused, at a server that holds refusals back and at one that does
    not, beside callers who come when they are told to. Pages a second that are answered, by round."""

    at_once: int
    heeding_per_s: list[float]
    held_back_per_s: list[float]
    at_once_per_s: list[float]
    held_back_refused_per_s: float
    at_once_refused_per_s: float
    held_back_ratio: float
    """Of what is answered to what heeding callers are."""
    at_once_ratio: float


@dataclass(frozen=True, slots=True)
class Rate:
    """So much of the server's capacity, offered."""

    of_capacity: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Opened:
    """``capacity_per_s`` is what callers that never pause get. At twice of it: the p99 of what is admitted, as many
    times that at 80 % load, and the goodput as part of capacity; None where a step had no answer."""

    capacity_per_s: float
    rates: list[Rate]
    overload_p99_ratio: float | None
    overload_goodput: float
    failed: int
    """Calls that ended in another way than with an answer, a refusal or their deadline: none may."""


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB, proportional: everything of a server while N cells read, at most; N processes that have the models each."""

    busy: int
    cloister_mib: float
    processes_mib: float
    one_process_times_n_mib: float
    ratio: float
    """Of the first to the last."""


async def beside_peers(
    documents: Sequence[bytes], settings: Mapping[str, str], peers: Sequence[str], rounds: int, price: float
) -> dict[str, Side]:
    """All of them run; they take turns, so that a machine whose speed changes changes for all."""
    cores = len(os.sched_getaffinity(0))
    async with AsyncExitStack() as stack:
        ours = stack.enter_context(_server(settings))
        servers: dict[str, Cloister | PeerServer] = {OURS: ours}
        for peer in peers:
            servers[peer] = stack.enter_context(PeerServer(peer, cores, documents[0]))
        sides: dict[str, Callers] = {
            name: await stack.enter_async_context(callers(server.address, documents, deadline_s=_MOST_S))
            for name, server in servers.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        uses: dict[str, list[dict[str, Use]]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                with Watch(servers[name].pid, CLOISTER if name == OURS else PEER) as watch:
                    # One more than there are cores, so that no worker waits for its next page.
                    seconds[name].append(await side.once(cores + 1))
                uses[name].append(watch.uses)
    return {name: _side(len(documents), seconds[name], uses[name], price, cores) for name in sides}


def first_answers(document: bytes, settings: Mapping[str, str], rounds: int) -> dict[str, object]:
    """From starting the server's process to the first answer, some times; once before them to warm the disk's cache."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        with _server(settings) as server:
            server.recognize(document)
            times.append(time.perf_counter() - started)
    return {"cold_s": times[0], "warm_s": times[1:], "warm_median_s": median(times[1:])}


async def one_and_two_cells(documents: Sequence[bytes], settings: Mapping[str, str], rounds: int) -> Cells:
    """Three servers take turns, and processes without one. As many callers as cells, and one more."""
    documents = [*documents] * math.ceil(_AT_LEAST / len(documents))
    times: dict[str, list[float]] = {"one": [], "two": [], "one core": []}
    bare: dict[int, list[float]] = {1: [], 2: []}
    core = min(os.sched_getaffinity(0))
    async with AsyncExitStack() as stack:
        sides = {}
        for name, cells, cpu in (("one", 1, None), ("two", 2, None), ("one core", 1, core)):
            server = stack.enter_context(_server(settings, cells, cpu))
            side = await stack.enter_async_context(callers(server.address, documents, deadline_s=_MOST_S))
            sides[name] = side, cells
        files = stack.enter_context(_files(documents))
        processes = [stack.enter_context(Unjailed("scribe")) for _ in range(2)]
        await asyncio.to_thread(_read, processes, files)
        for _ in range(rounds):
            for name, (side, cells) in sides.items():
                times[name].append(await side.once(cells + 1))
            for count, seconds in bare.items():
                seconds.append(await asyncio.to_thread(_read, processes[:count], files))
    one, two, one_core = (sum(times[name]) for name in ("one", "two", "one core"))
    pages = rounds * len(documents)
    ratios = [first / second for first, second in zip(times["one"], times["two"], strict=True)]
    return Cells(
        pages / one, pages / two, one / two, ratios, pages / one_core, one_core / two, sum(bare[1]) / sum(bare[2])
    )


def _read(processes: Sequence[Unjailed], files: Sequence[Path]) -> float:
    """Seconds that it takes the processes to read all files, each taking the next when it has read one."""
    started, rest = time.perf_counter(), iter(files)
    with ThreadPoolExecutor(len(processes)) as pool:
        # next() on an iterator of a list is one step of the interpreter: no file is taken twice.
        list(pool.map(lambda process: [process.run(file) for file in rest], processes))
    return time.perf_counter() - started


@contextmanager
def _files(documents: Sequence[bytes]) -> Iterator[list[Path]]:
    """The documents, each in a file of its own."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(len(documents))]
        for path, document in zip(paths, documents, strict=True):
            path.write_bytes(document)
        yield paths


async def closed(documents: Sequence[bytes], settings: Mapping[str, str], seconds: float, price: float) -> list[Step]:
    """More and more callers. More than have places are refused: the outcome says how many."""
    cores, steps = len(os.sched_getaffinity(0)), []
    with _server(settings) as server:
        async with callers(server.address, documents, deadline_s=_MOST_S) as side:
            await side.once(1)
            for at_once in _CLOSED:
                with Watch(server.pid, CLOISTER) as watch:
                    found = await side.closed(at_once, seconds)
                steps.append(Step(at_once, found, _price(found.answered_per_s, cores, price), watch.uses))
    return steps


async def heedless(documents: Sequence[bytes], settings: Mapping[str, str], seconds: float, rounds: int) -> Heedless:
    """Two servers take turns."""
    at_once = _CLOSED[-1]
    found: dict[str, list[Outcome]] = {"heeding": [], "held back": [], "at once": []}
    async with AsyncExitStack() as stack:
        sides = {}
        for name, more in (("held back", {}), ("at once", {"LIMITS__REFUSALS_PER_S": "0"})):
            server = stack.enter_context(_server({**settings, **more}))
            sides[name] = await stack.enter_async_context(callers(server.address, documents, deadline_s=_MOST_S))
            await sides[name].once(1)
        for _ in range(rounds):
            found["heeding"].append(await sides["held back"].closed(at_once, seconds))
            for name, side in sides.items():
                found[name].append(await side.closed(at_once, seconds, heeding=False))
    answered = {name: [each.answered_per_s for each in outcomes] for name, outcomes in found.items()}
    refused = {
        name: sum(each.ends.get(End.REFUSED.value, 0) for each in outcomes) / sum(each.seconds for each in outcomes)
        for name, outcomes in found.items()
    }
    heeding, held_back, hammering = (answered[name] for name in found)
    ratios = sum(held_back) / sum(heeding), sum(hammering) / sum(heeding)
    return Heedless(at_once, heeding, held_back, hammering, refused["held back"], refused["at once"], *ratios)


async def opened(documents: Sequence[bytes], settings: Mapping[str, str], seconds: float, deadline_s: float) -> Opened:
    """Find out what the server can do, then offer it more and more of that."""
    cores = len(os.sched_getaffinity(0))
    with _server(settings) as server:
        async with callers(server.address, documents, deadline_s=_MOST_S) as side:
            await side.once(cores)
            # Before and after: a machine's speed may change meanwhile.
            capacity = (await side.closed(2 * cores, seconds)).answered_per_s
            rates = []
            async with callers(server.address, documents, deadline_s=deadline_s or _MOST_S) as hurried:
                for share in _RATES:
                    rates.append(Rate(share, await hurried.open(share * capacity, seconds)))
                    await asyncio.sleep(1)  # for the last cells to be replaced
            after = (await side.closed(2 * cores, seconds)).answered_per_s
    by_share = {rate.of_capacity: rate.outcome for rate in rates}
    loaded, over = by_share[_LOADED].latency_ms, by_share[_OVERLOADED].latency_ms
    return Opened(
        capacity_per_s=(capacity + after) / 2,
        rates=rates,
        overload_p99_ratio=None if loaded is None or over is None else over.p99 / loaded.p99,
        overload_goodput=by_share[_OVERLOADED].answered_per_s / ((capacity + after) / 2),
        failed=sum(rate.outcome.ends.get(End.FAILED.value, 0) for rate in rates),
    )


async def memory(documents: Sequence[bytes], settings: Mapping[str, str], seconds: float) -> list[Memory]:
    """While N cells are busy, and while N processes that each loaded the models are, with the same pages."""
    found = []
    single = await asyncio.to_thread(_processes_mib, documents, 1)
    for busy in _BUSY:
        with _server(settings, busy) as server:
            async with callers(server.address, documents, deadline_s=_MOST_S) as side:
                await side.once(busy)
                with Watch(server.pid, CLOISTER, period_s=0.2) as watch:
                    await side.closed(busy + 1, seconds)
        peak = watch.uses["all"].pss_peak_mib
        several = single if busy == 1 else await asyncio.to_thread(_processes_mib, documents, busy)
        found.append(Memory(busy, peak, several, busy * single, peak / (busy * single)))
    return found


def _server(settings: Mapping[str, str], cells: int | None = None, cpu: int | None = None) -> Cloister:
    """Ours, with so many cells, and on one CPU alone, where that is said."""
    sized = {} if cells is None else {"CELLS__BUSY": str(cells), "CELLS__IDLE": str(cells)}
    return Cloister(log=None, cpu=cpu, **{**settings, **sized})


def _processes_mib(documents: Sequence[bytes], count: int) -> float:
    """MiB of so many processes that have loaded the models and read pages, proportional, after they read."""
    with _files(documents) as paths, ExitStack() as stack:
        processes = [stack.enter_context(Unjailed("scribe")) for _ in range(count)]
        for process in processes:
            for path in paths:
                process.run(path)
        return sum(pss_mib(process.pid) for process in processes)


def _side(pages: int, seconds: Sequence[float], uses: Sequence[dict[str, Use]], price: float, cores: int) -> Side:
    total, everything = pages * len(seconds), sum(seconds)
    cpu_s = sum(use["all"].cpu_s for use in uses) / total
    together = {
        kind: Use(
            cpu_s=sum(use[kind].cpu_s for use in uses),
            pss_mib=sum(use[kind].pss_mib for use in uses) / len(uses),
            pss_peak_mib=max(use[kind].pss_peak_mib for use in uses),
        )
        for kind in uses[0]
    }
    return Side(
        pages=total,
        seconds=everything,
        pages_per_s=total / everything,
        pages_per_s_by_round=[pages / each for each in seconds],
        cpu_s_per_page=cpu_s,
        price_per_1000=_price(total / everything, cores, price),
        price_of_cpu_per_1000=1000 * cpu_s / 3600 * price,
        uses=together,
    )


def _price(pages_per_s: float, cores: int, price: float) -> float:
    """Of 1,000 pages on so many cores, where a core costs ``price`` an hour; 0 where none were read."""
    return 1000 / pages_per_s / 3600 * cores * price if pages_per_s else 0.0
