"""The brokers that a fleet shares, of Debian's packages: restarted, emptied, and away while documents wait."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.brokers import LocalBroker, RabbitMQ, Redis
from server.queue.broker import CeleryBroker, application
from server.queue.job import State
from server.queue.relay import BrokerError
from server.queue.settings import Queue as QueueSettings
from server.settings import SettingsError
from tests.server.queue.fleet import ROOT, Fleet, Server, environment, fleet, kill, settled

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


def through_a_restart(made: Fleet, broker: LocalBroker) -> None:
    """Documents, of which the broker and a worker die in the middle."""
    made.work()
    jobs = [made.submit(f"!work 0.3\npage {number}") for number in range(16)]
    settled(lambda: sum(made.state(job).ended for job in jobs) >= 3)
    broker.restart()
    kill(made.workers[0])
    late = [made.submit(f"late {number}") for number in range(4)]
    ended = made.ended(*jobs, *late)
    wanted = [f"page {number}" for number in range(16)] + [f"late {number}" for number in range(4)]
    assert [made.text(job) for job in ended] == wanted
    assert [job.attempts for job in ended] == [0] * 20
    assert len(made.results()) == 20


def test_redis_that_is_restarted_loses_nothing(server: Server, folder: Path, redis: Redis) -> None:
    with fleet(folder, server.address, broker=redis.url) as made:
        through_a_restart(made, redis)


def test_redis_that_forgets_everything_loses_nothing(server: Server, folder: Path, forgetful_redis: Redis) -> None:
    with fleet(folder, server.address, broker=forgetful_redis.url) as made:
        through_a_restart(made, forgetful_redis)


@pytest.mark.slow
def test_rabbitmq_that_is_restarted_loses_nothing(server: Server, folder: Path, rabbitmq: RabbitMQ) -> None:
    with fleet(folder, server.address, broker=rabbitmq.url) as made:
        through_a_restart(made, rabbitmq)


def test_documents_are_taken_while_the_broker_is_away(server: Server, folder: Path, redis: Redis) -> None:
    redis.kill()
    with fleet(folder, server.address, broker=redis.url) as made:
        jobs = [made.submit(f"page {number}") for number in range(3)]
        settled(lambda: made.said("nothing can be sent to workers") == 1)
        assert {made.state(job) for job in jobs} == {State.WAITING}
        redis.start()
        assert [job.state for job in made.ended(*jobs)] == [State.SUCCEEDED] * 3


def test_what_waits_in_a_broker_is_counted_and_one_that_is_away_is_said_to_be(redis: Redis, folder: Path) -> None:
    broker = CeleryBroker(application(QueueSettings(folder=folder, broker=redis.url)))
    assert broker.depth() == 0
    broker.send("a")
    broker.send("b")
    assert broker.depth() == 2
    redis.restart()
    assert broker.depth() == 2
    broker.send("c")
    assert broker.depth() == 3
    redis.kill()
    with pytest.raises(BrokerError):
        broker.depth()
    with pytest.raises(BrokerError):
        broker.send("d")


def test_messages_in_a_folder_are_counted_and_whole(folder: Path) -> None:
    broker = CeleryBroker(application(QueueSettings(folder=folder)))
    for reading in "abc":
        broker.send(reading)
    assert broker.depth() == 3
    assert sorted(path.suffix for path in (folder / "messages").iterdir()) == [".msg"] * 3


def test_a_driver_that_is_not_installed_is_named(folder: Path) -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from server.queue.broker import application\n"
        "from server.queue.settings import Queue\n"
        f"application(Queue(folder={str(folder)!r}, broker='redis://localhost/0'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment({}), capture_output=True, text=True, check=False
    )
    assert "SettingsError" in done.stderr
    assert "cloister[redis]" in done.stderr


def test_a_broker_that_nobody_knows_is_named(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"queue\.broker.*nosuch"):
        application(QueueSettings(folder=folder, broker="nosuch://here"))
