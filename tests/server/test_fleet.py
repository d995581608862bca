"""Three servers, each on an address of its own, and clients that lose one of them under load."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from server import calls
from server.async_client import AsyncClient
from server.client import Client
from server.errors import CloisterError
from tests.server.islands import Island, islands
from tests.server.jobs import document

ROOT = Path(__file__).parents[2]
PORT = 50051
START_S = 60.0
AT_ONCE = 9
SHORTEST = 100
"""Bytes of the first document; each further one is a byte longer, by which the servers' logs name it."""


@dataclass
class Member:
    """A server of the fleet, with the tiny job, and what it logged, also before it was started again."""

    island: Island
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def address(self) -> str:
        return f"{self.island.address}:{PORT}"

    def start(self) -> None:
        settings = {"ENGINES": '["tiny"]', "LISTEN__ADDRESS": self.address}
        settings |= {"LISTEN__DANGEROUSLY_WITHOUT_CREDENTIALS": "true", "LISTEN__DANGEROUSLY_WITHOUT_TLS": "true"}
        settings |= {"CELLS__BUSY": "1", "CELLS__IDLE": "1", "LOG__FORMAT": "json"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.island.prefix, sys.executable, "-m", "tests.server.serve_tiny", "0"],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
                | {f"CLOISTER_{name}": value for name, value in settings.items()},
                stderr=log,
            )

    def answered(self) -> list[int]:
        """The lengths of the documents that it answered, in turn."""
        whole = self.log.read_text().rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line["bytes"] for line in lines if line["event"] == "request" and line["code"] == "OK"]

    async def answers_more(self) -> None:
        """Wait until it answers documents that it had not yet when asked."""
        before = len(self.answered())
        async with asyncio.timeout(START_S):
            while len(self.answered()) <= before:
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.2)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, START_S)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Member]]:
    folder = tmp_path_factory.mktemp("fleet")
    with islands(3) as places, ExitStack() as stack:
        members = [Member(island, folder / f"{number}.log") for number, island in enumerate(places)]
        for member in members:
            stack.callback(lambda member: (member.process.kill(), member.process.wait()), member)
        for member in members:
            _await(member)
        yield members


def _await(member: Member) -> None:
    deadline = time.monotonic() + START_S
    with Client(member.address) as client:
        while True:
            assert member.process.poll() is None, member.log.read_text()
            try:
                if client.engines():
                    return
            except CloisterError:
                assert time.monotonic() < deadline
            time.sleep(0.2)


@dataclass
class Load:
    """What became of the documents that clients sent, by length. Every one is in one of the two."""

    answers: Counter[int] = field(default_factory=Counter)
    failures: dict[int, Exception] = field(default_factory=dict)


@asynccontextmanager
async def load(members: list[Member]) -> AsyncIterator[Load]:
    """Have several callers send one document after the other for the length of the block; then await all answers."""
    done, lengths, sent = asyncio.Event(), count(SHORTEST), Load()

    async def call(client: AsyncClient) -> None:
        while not done.is_set():
            length = next(lengths)
            start = f"!work 0.1\nnumber {length} "
            padding = "x" * (length - len(start))
            try:
                answer = await client.recognize(document(start + padding))
            except CloisterError as error:
                sent.failures[length] = error
            else:
                assert answer.text == f"number {length} {padding}"
                sent.answers[length] += 1

    async with AsyncClient([member.address for member in members]) as client, asyncio.TaskGroup() as callers:
        for _ in range(AT_ONCE):
            callers.create_task(call(client))
        yield sent
        done.set()


def check(sent: Load, members: list[Member], lost: Member | None, since: dict[str, int]) -> None:
    """No document may be without an answer, or have more than one. ``since`` is how many each had answered before.

    What ``lost`` read and could not deliver any more was rightly read again; no other server may have done that.
    """
    assert not sent.failures
    assert len(sent.answers) > AT_ONCE
    assert set(sent.answers.values()) == {1}
    delivered = Counter(
        length for member in members if member is not lost for length in member.answered()[since[member.address] :]
    )
    assert max(delivered.values()) == 1
    by_lost = set() if lost is None else set(lost.answered()[since[lost.address] :])
    assert set(sent.answers) <= set(delivered) | by_lost


def marks(members: list[Member]) -> dict[str, int]:
    return {member.address: len(member.answered()) for member in members}


async def test_calls_go_in_turns_to_all_that_serve(fleet: list[Member]) -> None:
    since = marks(fleet)
    async with load(fleet) as sent:
        await asyncio.gather(*(member.answers_more() for member in fleet))
        async with asyncio.timeout(START_S):
            while len(sent.answers) < 4 * AT_ONCE:
                await asyncio.sleep(0.1)
    check(sent, fleet, None, since)
    shares = [len(member.answered()) - since[member.address] for member in fleet]
    assert min(shares) > sum(shares) / 6


async def test_a_server_that_is_killed_loses_no_request(fleet: list[Member]) -> None:
    since = marks(fleet)
    async with load(fleet) as sent:
        await fleet[0].answers_more()
        fleet[0].process.kill()
        await fleet[0].ended()
        await asyncio.gather(*(member.answers_more() for member in fleet[1:]))
        fleet[0].start()
        await fleet[0].answers_more()
    check(sent, fleet, fleet[0], since)


@pytest.mark.slow
async def test_a_server_that_drains_loses_no_request(fleet: list[Member]) -> None:
    since = marks(fleet)
    async with load(fleet) as sent:
        await fleet[1].answers_more()
        fleet[1].process.send_signal(signal.SIGTERM)
        assert await fleet[1].ended() == 0
        await asyncio.gather(fleet[0].answers_more(), fleet[2].answers_more())
        fleet[1].start()
        await fleet[1].answers_more()
    check(sent, fleet, None, since)


@pytest.mark.slow
async def test_a_server_that_is_cut_off_loses_no_request(fleet: list[Member], monkeypatch: pytest.MonkeyPatch) -> None:
    # Sooner than by default, and not sooner than servers let their callers ask.
    monkeypatch.setattr(calls, "KEEPALIVE_S", 6)
    monkeypatch.setattr(calls, "KEEPALIVE_TIMEOUT_S", 2)
    since = marks(fleet)
    async with load(fleet) as sent:
        await fleet[2].answers_more()
        fleet[2].island.cut()
        # Those who waited for it must notice, and go elsewhere; then its share of the load goes to the others.
        await asyncio.sleep(10)
        answered = sum(sent.answers.values())
        await asyncio.gather(*(member.answers_more() for member in fleet[:2]))
        assert sum(sent.answers.values()) > answered
        fleet[2].island.mend()
        await fleet[2].answers_more()
    check(sent, fleet, fleet[2], since)
