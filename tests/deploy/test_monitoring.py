"""The alert rules and the dashboard, by Prometheus itself: promtool's tests, and a scrape of a real server."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from server import telemetry
from server.app import RunningServer, running
from server.async_client import AsyncClient
from server.errors import CloisterError
from server.queue.client import JobClient
from server.reload import Sources
from tests.server.conftest import tiny, tiny_settings
from tests.server.jobs import document
from tests.server.queue.fleet import fleet, free_address

FOLDER = Path(__file__).parents[2] / "deploy" / "monitoring"
NAME = re.compile(r"\b(?:cloister|process)_[a-z_]+\b")
STARTS_BY_ITSELF = {"up"}


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}: install Debian's package prometheus (deploy/setup.sh tests)")
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def dashboard_expressions() -> list[str]:
    """With Grafana's variables filled in."""
    board = json.loads((FOLDER / "dashboard.json").read_text())
    raw = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    raw += [annotation["expr"] for annotation in board["annotations"]["list"]]
    filled = [
        expr.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$engine", ".*") for expr in raw
    ]
    assert not any("$" in expr for expr in filled)
    return filled


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    promtool = program("promtool")
    subprocess.run([promtool, "check", "rules", "alerts.yml"], cwd=FOLDER, check=True)
    tests = [promtool, "test", "rules", "alerts.test.yml"]
    done = subprocess.run(tests, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_goes_untested() -> None:
    tests = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules()}


def test_panels_have_names_and_do_not_overlap() -> None:
    board = json.loads((FOLDER / "dashboard.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["title"]
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells


@dataclass(frozen=True)
class Busy:
    """A server and a worker, at work, and where each shows its metrics."""

    server: RunningServer
    worker: str

    @property
    def targets(self) -> dict[str, str]:
        """By the names that `prometheus.yml` has for them."""
        return {"cloister": address_of(self.server.metrics_url), "cloister-workers": self.worker}


def address_of(url: str) -> str:
    return url.removeprefix("http://").removesuffix("/metrics")


@asynccontextmanager
async def busy_server(folder: Path) -> AsyncIterator[Busy]:
    """A server that has done something of all there is to measure: a canary, a shadow, failures, a reload, jobs."""
    flags = folder / "flags.json"
    flag = {"state": "ENABLED", "variants": {"try": "candidate"}, "defaultVariant": "try"}
    flags.write_text(json.dumps({"flags": {"shadow": flag}}))
    settings = tiny_settings(
        experiments={"flags": str(flags)},
        shadow={"engines": ["candidate"], "database": ""},
        metrics={"address": "127.0.0.1:0"},
        health={"self_test_s": 0.5},
        canary={"tiny": {}},
        queue={"serve": True, "folder": folder / "queue"},
    )
    canary = replace(tiny(), version="2.0")
    sources = Sources(lambda: settings, lambda _: (tiny(),), lambda _: (canary,))
    log = telemetry.logger(quiet=True)
    async with running(settings, log=log, candidates=[tiny("candidate")], sources=sources) as server:
        await server.reloader.reload()
        worker = free_address()
        shows = {"QUEUE__METRICS": json.dumps({"address": worker})}
        with fleet(folder / "queue", server.address, shows) as made:
            made.submit("!crash")
            yield Busy(server, worker)


async def asked_of(server: RunningServer, over: asyncio.Event) -> None:
    async with AsyncClient(server.address) as client:
        with JobClient(server.address) as jobs:
            # What is read once is not read again.
            for turn in count():
                if over.is_set():
                    return
                await asyncio.to_thread(jobs.submit, document("handed in", str(turn)))
                await ask(client)


async def ask(client: AsyncClient) -> None:
    await client.recognize(document("some", "words"))
    await client.recognize(document("words"), engine="tiny@canary")
    with suppress(CloisterError):
        await client.recognize(document("one", "!violate"))
    await asyncio.sleep(0.2)


@contextmanager
def prometheus(folder: Path, targets: dict[str, str]) -> Iterator[str]:
    """Prometheus with our rules, looking at ``targets`` every second; the value is where it answers."""
    address = free_address()
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"]["scrape_interval"] = "1s"
    config["rule_files"] = [str(FOLDER / "alerts.yml")]
    assert {job["job_name"] for job in config["scrape_configs"]} == targets.keys()
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    options = {"config.file": folder / "prometheus.yml", "storage.tsdb.path": folder / "data", "log.level": "error"}
    server = subprocess.Popen(
        [
            program("prometheus"),
            f"--web.listen-address={address}",
            *(f"--{key}={value}" for key, value in options.items()),
        ],
        cwd=folder,
    )
    try:
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(20)


def shown_at(address: str) -> bytes:
    with urllib.request.urlopen(f"http://{address}/metrics") as response:
        shown: bytes = response.read()
        return shown


def query(url: str, expression: str) -> list[Any]:
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}") as response:
        answer = json.load(response)
    assert answer["status"] == "success", answer
    found: list[Any] = answer["data"]["result"]
    return found


def unanswered(url: str, expressions: list[str]) -> list[str]:
    try:
        return [expression for expression in expressions if not query(url, expression)]
    except OSError:
        return expressions  # it is starting


@pytest.mark.timeout(300)
async def test_every_panel_shows_something_of_a_server_at_work(tmp_path: Path) -> None:
    expressions = dashboard_expressions()
    # An annotation is there at the moment of a reload alone.
    lasting = [expression for expression in expressions if not expression.startswith("changes(")]
    async with busy_server(tmp_path) as busy:
        over = asyncio.Event()
        asking = asyncio.create_task(asked_of(busy.server, over))
        with prometheus(tmp_path, busy.targets) as url:
            left = lasting
            async with asyncio.timeout(90):
                while left := await asyncio.to_thread(unanswered, url, left):
                    assert not asking.done(), asking.result()
                    await asyncio.sleep(1)
            for expression in [*expressions, *(rule["expr"] for rule in rules())]:
                await asyncio.to_thread(query, url, expression)
        over.set()
        await asking
        texts = [await asyncio.to_thread(shown_at, target) for target in busy.targets.values()]
    samples = [family.samples for text in texts for family in text_string_to_metric_families(text.decode())]
    names = {sample.name for found in samples for sample in found} | STARTS_BY_ITSELF
    for expression in [*expressions, *(rule["expr"] for rule in rules())]:
        assert set(NAME.findall(expression)) <= names, expression
    for text in texts:
        lint = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
        assert lint.returncode == 0, lint.stderr.decode()
