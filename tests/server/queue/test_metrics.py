"""What workers show to Prometheus: what the ledger says, how attempts end, and nothing of a document."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.queue.backlog import look
from server.queue.gauges import LedgerGauges
from server.queue.job import State
from server.queue.leases import Failure, Leases
from server.queue.ledger import Ledger
from server.queue.metrics import Outcome, QueueMetrics
from tests.server.conftest import tiny_server, tiny_settings
from tests.server.queue.fleet import Server, fleet, free_address, kill, settled
from tests.server.queue.samples import submission

pytestmark = pytest.mark.timeout(900)

SECRET = "Xylophonium"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        started.serving()
        yield started


def asked(at: str, path: str = "/metrics") -> tuple[int, str]:
    """Status and text; 0 where nothing listens yet."""
    try:
        with urllib.request.urlopen(f"http://{at}{path}", timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def seen(text: str) -> dict[str, float]:
    """Each series by its name and the values of its labels, in the order of their names."""
    return {
        " ".join([sample.name, *(value for _, value in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_worker_tells_of_the_ledger_and_of_its_attempts(server: Server, folder: Path) -> None:
    at = free_address()
    with fleet(folder, server.address, {"QUEUE__METRICS": f'{{"address": "{at}"}}'}) as made:
        good = [made.submit(f"{SECRET} {number}") for number in range(3)]
        bad, damaged = made.submit(f"!crash\n{SECRET}"), made.submit("!fail REASON_DAMAGED")
        made.ended(*good, bad, damaged)
        # Attempts are counted a little after their outcome is in the ledger.
        wanted = {"read": 3.0, "failed": 2.0, "dead": 2.0}
        settled(
            lambda: {key: seen(asked(at)[1]).get(f"cloister_attempt_seconds_count {key}") for key in wanted} == wanted
        )
        text = asked(at)[1]
        found = seen(text)
        assert {state: found[f"cloister_ledger_documents {state}"] for state in State} == {
            State.WAITING: 0,
            State.RUNNING: 0,
            State.SUCCEEDED: 3,
            State.DEAD: 2,
            State.CANCELLED: 0,
        }
        assert found["cloister_ledger_reachable"] == 1
        assert found["cloister_ledger_oldest_waiting_seconds"] == 0
        attempts = {name: value for name, value in found.items() if name.startswith("cloister_attempts_total")}
        assert attempts == {
            "cloister_attempts_total read ": 3,
            "cloister_attempts_total failed CELL_CRASHED": 2,
            "cloister_attempts_total dead CELL_CRASHED": 1,
            "cloister_attempts_total dead DAMAGED_DOCUMENT": 1,
        }
        assert found["cloister_result_seconds_count"] == 3
        assert 0 < found["cloister_attempt_seconds_sum read"] <= found["cloister_result_seconds_sum"]
        assert SECRET not in text
        assert asked(at, "/healthz") == (200, "ok\n")
        assert asked(at, "/readyz") == (200, "ok\n")


def test_attempts_of_a_worker_that_was_killed_and_of_a_server_that_is_away_are_counted(
    folder: Path, tmp_path: Path
) -> None:
    at = free_address()
    with Server(tmp_path) as lost, fleet(folder, lost.address) as made:
        hanging = made.submit("!work 3\nhanging")
        settled(lambda: made.state(hanging) is State.RUNNING)
        kill(made.workers[0])
        lost.kill()
        made.access = {"QUEUE__METRICS": f'{{"address": "{at}"}}'}
        made.work()
        for wanted in ("lost WORKER_LOST", "refused UNREACHABLE"):
            settled(lambda wanted=wanted: seen(asked(at)[1]).get(f"cloister_attempts_total {wanted}", 0) >= 1)
        found = seen(asked(at)[1])
        assert found["cloister_attempts_total lost WORKER_LOST"] == 1
        assert found["cloister_ledger_documents waiting"] + found["cloister_ledger_documents running"] == 1
        settled(lambda: seen(asked(at)[1])["cloister_ledger_oldest_waiting_seconds"] > 0)


def test_a_worker_that_the_broker_does_not_feed_is_well_but_not_ready(server: Server, folder: Path) -> None:
    at = free_address()
    broker = f"redis://{free_address()}/0"
    with fleet(folder, server.address, {"QUEUE__METRICS": f'{{"address": "{at}"}}'}, broker=broker):
        settled(lambda: asked(at, "/healthz")[0] == 200)
        assert asked(at, "/readyz") == (503, "not fed by the broker\n")


def test_a_worker_shows_nothing_unless_asked_and_names_an_address_that_is_taken(server: Server, folder: Path) -> None:
    with fleet(folder, server.address) as made:
        settled(lambda: '"metrics": ""' in made.log.read_text())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        with fleet(folder, server.address, {"QUEUE__METRICS": f'{{"address": "{at}"}}'}) as made:
            assert made.workers[0].wait(120) == 3
            assert "queue.metrics.address" in made.log.read_text()


async def test_a_server_that_takes_jobs_tells_of_the_ledger_too(folder: Path) -> None:
    settings = tiny_settings(queue={"serve": True, "folder": folder}, metrics={"address": "127.0.0.1:0"})
    async with tiny_server(settings) as tiny:
        at = tiny.server.metrics_url.removeprefix("http://").removesuffix("/metrics")
        ledger = Ledger(f"sqlite:///{folder}/jobs.db", most_open=10)
        ledger.submit(submission("k"))
        ledger.close()
        found = seen((await asyncio.to_thread(asked, at))[1])
    assert found["cloister_ledger_documents waiting"] == 1
    assert found["cloister_ledger_oldest_waiting_seconds"] > 0
    assert "cloister_serving" in found


def test_the_backlog_is_what_the_ledger_says(ledger: Ledger, leases: Leases) -> None:
    assert look(ledger).documents == Counter()
    assert look(ledger).oldest_s is None
    first, shared, dead, cancelled = (ledger.submit(submission(key)) for key in "abcd")
    ledger.submit(submission("b"))
    ledger.cancel(cancelled.id)
    claim = leases.claim(dead.reading, "owner")
    assert claim is not None
    assert claim.submitted_s == dead.submitted_s
    leases.bury(claim, Failure("DAMAGED_DOCUMENT", ""))
    backlog = look(ledger)
    assert backlog.documents == {State.WAITING: 2, State.DEAD: 1, State.CANCELLED: 1}
    assert backlog.oldest_s == first.submitted_s
    assert leases.claim(first.reading, "owner") is not None
    assert look(ledger).oldest_s == shared.submitted_s


def test_a_ledger_that_can_not_be_used_is_said_and_the_rest_still_seen(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(b"no database" * 1000)
    ledger = Ledger(f"sqlite:///{tmp_path}/jobs.db", most_open=10)
    said = {metric.name: [sample.value for sample in metric.samples] for metric in LedgerGauges(ledger).collect()}
    assert said == {"cloister_ledger_reachable": [0.0]}
    ledger.close()


def test_reasons_that_only_a_newer_server_knows_are_one_label() -> None:
    metrics = QueueMetrics()
    for reason in ("NEWER", f"{SECRET}", "CELL_CRASHED"):
        metrics.attempt(Outcome.FAILED, reason, 1.0)
    reasons = {
        sample.labels["reason"]
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "cloister_attempts_total"
    }
    assert reasons == {"OTHER", "CELL_CRASHED"}
