"""Workers and servers that want to know who calls: what is let in reads, and what is not buries nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.access import Access
from server.door import keys
from server.queue.job import State
from tests.server.door.credentials import Authority
from tests.server.queue.fleet import Fleet, Server, fleet, free_address, kill, settled

pytestmark = pytest.mark.timeout(900)

TOLD = "the server does not read for this worker"


@dataclass(frozen=True)
class Door:
    """A server, and what it wants to see."""

    server: Server
    good: dict[str, str]
    """What gets in, as a worker's environment has it."""


def access(shown: dict[str, str]) -> Access:
    certificate, key = shown.get("CERTIFICATE"), shown.get("KEY")
    return Access(
        ca=shown["CA"],
        token=shown.get("TOKEN", ""),
        certificate=Path(certificate) if certificate else None,
        key=Path(key) if key else None,
    )


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files: an authority's and a stranger's certificates, those they signed, and a key for any tenant."""
    folder = tmp_path_factory.mktemp("credentials")
    found: dict[str, str] = {}
    for name in ("ours", "theirs"):
        authority = Authority(name)
        found[f"{name}_ca"] = str(authority.write(folder / f"{name}-ca.pem"))
        for who in ("localhost", "acme"):
            pair = authority.sign(who).write(folder, f"{name}-{who}")
            found[f"{name}_{who}"], found[f"{name}_{who}_key"] = map(str, pair)
    found["keys"] = str(folder / "keys")
    found["token"] = keys.add(folder / "keys", "*")
    return found


@pytest.fixture(scope="module")
def by_key(credentials: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """TLS by a private authority, and an API key."""
    good = {"CA": credentials["ours_ca"], "TOKEN": credentials["token"]}
    settings = {"AUTHENTICATION__KEYS": credentials["keys"]}
    yield from opened(credentials, tmp_path_factory.mktemp("by_key"), settings, good)


@pytest.fixture(scope="module")
def by_certificate(credentials: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """TLS both ways; the certificate's name is the tenant."""
    good = {"CA": credentials["ours_ca"], "CERTIFICATE": credentials["ours_acme"], "KEY": credentials["ours_acme_key"]}
    settings = {"TLS__CLIENTS_CA": credentials["ours_ca"], "AUTHENTICATION__CERTIFICATES": "true"}
    yield from opened(credentials, tmp_path_factory.mktemp("by_certificate"), settings, good)


def opened(credentials: dict[str, str], folder: Path, settings: dict[str, str], good: dict[str, str]) -> Iterator[Door]:
    tls = {"TLS__CERTIFICATE": credentials["ours_localhost"], "TLS__KEY": credentials["ours_localhost_key"]}
    with Server(folder, LISTEN__ADDRESS=free_address(), **tls, **settings) as server:
        server.serving(access(good))
        yield Door(server, good)


def said(made: Fleet) -> list[tuple[str, str]]:
    """Reason and explanation of each time that a worker told of not being let in."""
    lines = [json.loads(line) for line in made.log.read_text().splitlines() if line.startswith("{")]
    return [(line["reason"], line["why"]) for line in lines if line["event"] == TOLD]


@pytest.mark.parametrize("way", ["by_key", "by_certificate"])
def test_a_worker_that_shows_what_is_wanted_has_documents_read(
    way: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    door: Door = request.getfixturevalue(way)
    with fleet(folder, door.server.address, door.good) as made:
        ended = made.ended(*(made.submit(f"page {number}") for number in range(4)))
        assert [made.text(job) for job in ended] == [f"page {number}" for number in range(4)]
        assert not said(made)


@dataclass(frozen=True)
class Wrong:
    """What differs from what gets in, and what comes of it."""

    door: str
    shown: dict[str, str]
    reason: str
    why: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong("by_key", {"TOKEN": "no-such-key"}, "INVALID_CREDENTIAL", "key"),
        Wrong("by_key", {"TOKEN": ""}, "NO_CREDENTIAL", "authorization"),
        Wrong("by_key", {"CA": "theirs_ca"}, "UNREACHABLE", "no server answers"),
        Wrong("by_certificate", {"CERTIFICATE": "", "KEY": ""}, "UNREACHABLE", "no server answers"),
        Wrong(
            "by_certificate",
            {"CERTIFICATE": "theirs_acme", "KEY": "theirs_acme_key"},
            "UNREACHABLE",
            "no server answers",
        ),
    ],
    ids=lambda wrong: f"{wrong.door}-{'-'.join(wrong.shown)}-{wrong.reason}",
)
def test_a_worker_that_is_not_let_in_leaves_documents_in_the_queue_and_says_why(
    wrong: Wrong, folder: Path, credentials: dict[str, str], request: pytest.FixtureRequest
) -> None:
    door: Door = request.getfixturevalue(wrong.door)
    shown = door.good | {name: credentials.get(value, value) for name, value in wrong.shown.items()}
    # One try would be the last, if it counted.
    with fleet(folder, door.server.address, shown, attempts=1) as made:
        jobs = [made.submit(f"page {number}") for number in range(2)]
        settled(lambda: made.said("put back") >= 4)
        assert {made.state(job) for job in jobs} <= {State.WAITING, State.RUNNING}
        # Told once, not for every document.
        ((reason, why),) = said(made)
        assert reason == wrong.reason
        assert wrong.why in why
        kill(made.workers[0])
        made.access = door.good
        made.work()
        ended = made.ended(*jobs)
        assert [(job.state, job.attempts) for job in ended] == [(State.SUCCEEDED, 0)] * 2
        assert made.said("dead letter") == 0
