"""Callers, what is made of their calls, and what is watched meanwhile: figures that claims rest on."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import grpc
import pytest
from PIL import Image

from bench import load_plots
from bench.arrivals import Call, Callers, End, callers, outcome
from bench.load_parts import Memory, Opened, Rate, Side, Step
from bench.peer_server import PeerServer
from bench.usage import PEER, Use, Watch
from cloister.v1 import ocr_pb2, ocr_pb2_grpc
from tests.server.conftest import Tiny, tiny_server, tiny_settings
from tests.server.jobs import document

PAGE = Path(__file__).parents[2] / "deploy" / "demo" / "pages" / "receipt-photo.jpg"


def answered(per_s: float, took_s: float, seconds: float) -> list[Call]:
    count = int(per_s * seconds)
    return [Call(n / per_s, n / per_s + took_s, End.ANSWERED) for n in range(count)]


def test_an_even_run_is_steady_and_its_figures_are_plain() -> None:
    found = outcome(answered(per_s=10, took_s=0.2, seconds=30), 30)
    assert found.steady
    assert found.offered_per_s == pytest.approx(10, rel=0.02)
    assert found.answered_per_s == pytest.approx(10, rel=0.02)
    assert found.latency_ms is not None
    assert (found.latency_ms.p50, found.latency_ms.p99) == (pytest.approx(200), pytest.approx(200))


def test_answers_that_take_longer_and_longer_are_not_steady() -> None:
    calls = [Call(n / 10, n / 10 + n / 100, End.ANSWERED) for n in range(300)]
    found = outcome(calls, 30)
    assert not found.steady
    assert found.spread > 0.2


def test_calls_that_come_at_random_are_judged_by_how_many_of_them_are_answered() -> None:
    # Twice as many in the last third as in the first, all answered: no fault of the server's.
    calls = [Call(at, at + 0.2, End.ANSWERED) for at in (30 * (n / 400) ** 0.7 for n in range(400))]
    assert outcome(calls, 30, drawn=True).steady
    assert not outcome(calls, 30).steady


def test_what_is_refused_is_offered_and_no_answer() -> None:
    calls = answered(per_s=5, took_s=0.1, seconds=20)
    calls += [Call(n / 5, n / 5 + 0.001, End.REFUSED) for n in range(100)]
    found = outcome(calls, 20)
    assert found.offered_per_s == pytest.approx(10, rel=0.05)
    assert found.answered_per_s == pytest.approx(5, rel=0.05)
    assert found.ends["refused"] == pytest.approx(found.ends["answered"], abs=2)
    assert found.latency_ms is not None
    assert found.latency_ms.p50 == pytest.approx(100)


def test_a_run_without_answers_has_no_latency() -> None:
    found = outcome([Call(1.0, 2.0, End.FAILED)], 4)
    assert found.latency_ms is None
    assert not found.steady


async def offered(server: Tiny, *, per_s: float) -> tuple[dict[str, int], float]:
    async with callers(server.address, [document("!work 0.2", "x")]) as side:
        found = await side.open(per_s, 4.0)
    return found.ends, found.offered_per_s


async def test_an_open_loop_goes_on_whatever_becomes_of_its_calls() -> None:
    """More than one cell can read, and more than may wait: the rest is refused, and none is sent later for that."""
    async with tiny_server(tiny_settings(limits={"queue": 2})) as server:
        ends, offered_per_s = await offered(server, per_s=20)
    assert ends["refused"] > ends["answered"] > 0
    assert ends.keys() <= {"answered", "refused"}
    assert offered_per_s == pytest.approx(20, rel=0.5)


async def test_a_closed_loop_keeps_its_callers_busy_and_no_more() -> None:
    async with tiny_server() as server, callers(server.address, [document("!work 0.05", "x")]) as side:
        found = await side.closed(2, 3.0)
        assert await side.once(2) > 0
    assert found.ends.keys() == {"answered"}
    assert found.ends["answered"] > 5


async def test_once_does_not_hide_that_a_page_was_not_read() -> None:
    async with tiny_server() as server, callers(server.address, [document("!crash")]) as side:
        with pytest.raises(RuntimeError, match="failed"):
            await side.once(1)


async def test_time_is_counted_from_when_a_call_was_due() -> None:
    async with grpc.aio.insecure_channel("unix:/nowhere") as channel:
        call = await Callers(channel, [b"x"], "", 5.0)._one(b"", started=-10.0, due_s=2.0)
    assert call.end is End.FAILED
    assert call.seconds > 8


def test_cpu_of_children_that_have_ended_is_counted_with_their_kind() -> None:
    burn = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print('ended', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        with Watch(process.pid, PEER, period_s=0.05) as watch:
            assert process.stdout is not None
            assert process.stdout.readline() == "ended\n"
        process.communicate("\n")
    uses = watch.uses
    assert uses["workers"].cpu_s >= 0.45
    assert uses["server"].cpu_s < 0.45
    assert uses["all"].cpu_s == pytest.approx(uses["workers"].cpu_s + uses["server"].cpu_s)
    assert uses["all"].pss_peak_mib >= uses["server"].pss_mib > 1


def test_a_peer_answers_by_our_own_api() -> None:
    with PeerServer("tesseract-cli", 1, PAGE.read_bytes()) as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = ocr_pb2_grpc.OcrServiceStub(channel)
            answer = stub.Recognize(ocr_pb2.RecognizeRequest(document=PAGE.read_bytes()), timeout=60)
        with Watch(server.pid, PEER) as watch:
            pass
    assert len(answer.text.split()) > 10
    assert watch.uses["workers"].pss_mib > 1


def test_every_part_has_its_picture(tmp_path: Path) -> None:
    found = outcome(answered(per_s=10, took_s=0.2, seconds=30), 30)
    use = {"all": Use(1.0, 100.0, 120.0)}
    side = Side(10, 5.0, 2.0, [2.0], 0.9, 0.1, 0.1, use)
    figures = {
        "peers": {"cloister": asdict(side), "rapidocr": asdict(side)},
        "closed": [asdict(Step(at_once, found, 0.1, use)) for at_once in (1, 2)],
        "open": asdict(Opened(10.0, [Rate(0.8, found), Rate(2.0, outcome([], 5))], None, 0.0, 0)),
        "memory": [asdict(Memory(n, 300.0 * n, 500.0 * n, 500.0 * n, 0.6)) for n in (1, 2)],
    }
    pictures = list(load_plots.draw(figures, tmp_path))
    assert {picture.stem for picture in pictures} == figures.keys()
    for picture in pictures:
        with Image.open(picture) as opened:
            assert min(opened.size) > 300
