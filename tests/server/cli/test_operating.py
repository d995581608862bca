"""`cloister top` and `cloister reload`, with a server that is a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server.cli import app
from server.client import Client
from server.errors import CloisterError
from server.watching.scrape import Scrape, ScrapeError, quantile, scrape, url_of
from tests.server.jobs import document

ROOT = Path(__file__).parents[3]
run = CliRunner().invoke


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[bytes]
    address: str
    metrics: str
    version: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("operating")
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = f"127.0.0.1:{free.getsockname()[1]}"
    version = folder / "version"
    version.write_text("1.0")
    settings = {
        "ENGINES": '["tiny"]',
        "LISTEN__ADDRESS": f"unix:{folder}/socket",
        "METRICS__ADDRESS": metrics,
        "CELLS__BUSY": "1",
        "CELLS__IDLE": "1",
        "LIMITS__QUEUE": "3",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.serve_versions", str(version)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
            | {f"CLOISTER_{name}": value for name, value in settings.items()},
            stderr=log,
        )
    try:
        until_s = time.monotonic() + 110
        while True:
            with suppress(ScrapeError):
                if scrape(url_of(metrics)).sum("cloister_serving"):
                    break
            assert time.monotonic() < until_s, (folder / "log").read_text()
            time.sleep(0.1)
        yield Running(process, f"unix:{folder}/socket", metrics, version)
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_top_tells_of_what_a_server_does(server: Running) -> None:
    with Client(server.address) as client, ThreadPoolExecutor(1) as threads:
        looking = threads.submit(run, app, ["top", server.metrics, "--once", "--json", "--interval", "4"])
        # Within the interval, and after its first look.
        for _ in range(20):
            client.recognize(document("two words"))
            with suppress(CloisterError):
                client.recognize(document("one", "!crash"))
            time.sleep(0.15)
        result = looking.result(60)
    assert result.exit_code == 0, result.output
    (seen,) = json.loads(result.stdout)
    (engine,) = seen["vitals"]["engines"]
    assert seen["vitals"]["serving"]
    assert (engine["engine"], engine["label"]) == ("tiny", "stable")
    assert engine["requests"] > 0
    assert 0 < engine["p50_s"] <= engine["p95_s"]
    assert engine["confidence"] == pytest.approx(0.5)
    assert (engine["queue"], engine["queue_limit"], engine["busy_limit"]) == (0, 3, 1)
    assert engine["ends"]["crashed"] > 0
    assert engine["refusals"]["CELL_CRASHED"] == engine["ends"]["crashed"]
    assert engine["zygote_bytes"] > 1 << 20


def test_top_shows_several_servers_and_those_that_are_away(server: Running) -> None:
    result = run(app, ["top", server.metrics, "127.0.0.1:1", "--once", "--interval", "0.2"])
    assert result.exit_code == 0
    there, away = (
        next(line for line in result.stdout.splitlines() if name in line) for name in (server.metrics, "127.0.0.1:1/")
    )
    assert "serving" in there
    assert "start the server" in away


def test_top_says_what_is_missing() -> None:
    assert "metrics.address" in run(app, ["top", "--once"]).stderr
    result = run(app, ["top", "127.0.0.1:1", "--once"])
    assert result.exit_code == 3
    assert "127.0.0.1:1" in result.stderr


def test_reload_takes_a_new_version_and_tells_of_one_that_does_not_load(server: Running) -> None:
    with Client(server.address) as client:
        server.version.write_text("2.0")
        result = run(app, ["reload", "--metrics", server.metrics])
        assert result.exit_code == 0, result.output
        assert "tiny stable: 2.0" in result.stdout
        assert client.recognize(document("x")).provenance.engine_version == "2.0"
        server.version.write_text("broken")
        result = run(app, ["reload", "--metrics", server.metrics])
        assert result.exit_code == 1
        assert "refused" in result.stderr
        assert client.recognize(document("x")).provenance.engine_version == "2.0"


def test_signals_reload_while_requests_come_and_none_is_lost(server: Running) -> None:
    server.version.write_text("3.0")
    with Client(server.address) as client:
        before = scrape(url_of(server.metrics)).sum("cloister_reloads_total")
        server.process.send_signal(signal.SIGHUP)
        until_s = time.monotonic() + 60
        while client.recognize(document("!work 0.02", "x")).provenance.engine_version != "3.0":
            assert time.monotonic() < until_s
        assert scrape(url_of(server.metrics)).sum("cloister_reloads_total") == before + 1


def test_what_is_no_server_of_this_host_is_not_signalled(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = scrape(url_of(server.metrics))
    ours = {("cloister_process_id", frozenset[tuple[str, str]]()): float(os.getppid())}
    monkeypatch.setattr("server.cli.reload.scrape", lambda url: Scrape(seen.at_s, {**seen.values, **ours}))
    result = run(app, ["reload", "--metrics", server.metrics])
    assert result.exit_code == 3
    assert "SIGHUP where it runs" in result.stderr


def test_quantiles_are_those_of_the_interval() -> None:
    def counts(*values: float) -> Scrape:
        bounds = ("1.0", "2.0", "4.0", "+Inf")
        return Scrape(
            0.0, {("t_bucket", frozenset({("le", le)})): value for le, value in zip(bounds, values, strict=True)}
        )

    before, now = counts(100, 100, 100, 100), counts(100, 104, 108, 110)
    assert quantile(0.2, before, now, "t") == pytest.approx(1.5)
    assert quantile(0.5, before, now, "t") == pytest.approx(2.5)
    assert quantile(0.99, before, now, "t") == 4.0
    assert quantile(0.5, now, now, "t") is None
