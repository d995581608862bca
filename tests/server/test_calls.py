"""Where calls go: one server, several, all that a name stands for."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest

from server.admission import Deadline
from server.async_client import AsyncClient
from server.calls import again_s, channel_options, target_of
from server.client import Client
from server.errors import OverloadedError, Reason, TransportError
from tests.server.conftest import Tiny, tiny_server, tiny_settings
from tests.server.jobs import document


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("localhost:50051", "localhost:50051"),
        ("unix:/run/cloister.sock", "unix:/run/cloister.sock"),
        ("dns:///ocr.example:50051", "dns:///ocr.example:50051"),
        (["10.0.0.1:1", "10.0.0.2:2"], "ipv4:10.0.0.1:1,10.0.0.2:2"),
        ("10.0.0.1:1,10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2"),
        ("ipv4:10.0.0.1:1,10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2"),
        (["[::1]:1", "[fe80::1]:2"], "ipv6:[::1]:1,[fe80::1]:2"),
    ],
)
def test_addresses_become_a_target(address: str | list[str], target: str) -> None:
    assert target_of(address) == target


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (["one.example:1", "two.example:1"], "one name that stands for all"),
        ("10.0.0.1:1,", "an address is missing"),
        ([], "an address is missing"),
        (["10.0.0.1:1", "[::1]:1"], "mixes IPv4 and IPv6"),
    ],
)
def test_what_grpc_can_not_go_to_is_explained(address: str | list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        target_of(address)


@pytest.mark.parametrize(("target", "several"), [("localhost:1", False), ("ipv4:a:1,b:1", True), ("dns:///a:1", True)])
def test_only_of_several_is_one_chosen_by_its_health(target: str, several: bool) -> None:
    """One that is starting shall say so itself, instead of being passed over."""
    config = json.loads(str(dict(channel_options(target))["grpc.service_config"]))
    assert ("healthCheckConfig" in config) is several
    assert ("loadBalancingConfig" in config) is several
    assert config["methodConfig"][0]["retryPolicy"]["maxAttempts"] == 5


@asynccontextmanager
async def two(**sections: dict[str, object]) -> AsyncIterator[tuple[Tiny, Tiny]]:
    """On two loopback addresses, but on one port, as all servers behind a name are."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(tiny_server(tiny_settings(**sections)))
        address = f"127.0.0.2:{first.address.rpartition(':')[2]}"
        settings = tiny_settings(**{**sections, "listen": {"address": address}})
        yield first, await stack.enter_async_context(tiny_server(settings))


def shares(*servers: Tiny) -> list[int]:
    return [Counter(request["code"] for request in server.requests)["OK"] for server in servers]


async def test_both_clients_spread_their_calls() -> None:
    async with two() as (first, second):
        addresses = [first.address, second.address]

        def calls() -> None:
            with Client(addresses) as client:
                client.engines()
                for _ in range(8):
                    assert client.recognize(document("x")).text == "x"

        await asyncio.to_thread(calls)
        assert min(shares(first, second)) >= 2
        async with AsyncClient(",".join(addresses)) as client:
            for _ in range(8):
                assert (await client.recognize(document("x"))).text == "x"
        assert min(shares(first, second)) >= 4


async def test_a_name_stands_for_all_its_addresses() -> None:
    async with two() as (first, second), names("fleet.test", "127.0.0.1", "127.0.0.2") as port:
        server_port = first.address.rpartition(":")[2]
        async with AsyncClient(f"dns://127.0.0.1:{port}/fleet.test:{server_port}") as client:
            for _ in range(12):
                assert (await client.recognize(document("x"))).text == "x"
        assert min(shares(first, second)) >= 2


async def test_a_call_that_is_followed_goes_on_elsewhere_when_its_server_leaves_in_the_middle() -> None:
    """It had begun to answer: gRPC itself does not send such a call again."""
    async with AsyncExitStack() as stack:
        stay = await stack.enter_async_context(tiny_server())
        async with asyncio.TaskGroup() as group:
            leave, ready = asyncio.Event(), asyncio.get_running_loop().create_future()

            async def leaving() -> None:
                async with tiny_server(tiny_settings(limits={"drain_s": 0.2})) as server:
                    ready.set_result(server)
                    await leave.wait()

            group.create_task(leaving())
            gone: Tiny = await ready
            seen: list[tuple[int, int]] = []
            async with AsyncClient([gone.address, stay.address]) as client:
                async with asyncio.timeout(30):
                    while min(shares(gone, stay)) < 1:
                        await client.recognize(document("x"))
                # In turns: one of two is at the server that will leave.
                calls = [
                    group.create_task(
                        client.recognize(document("one", "!work 4", "two"), progress=lambda *now: seen.append(now))
                    )
                    for _ in range(2)
                ]
                async with asyncio.timeout(30):
                    while seen.count((1, 2)) < 2:
                        await asyncio.sleep(0.02)
                leave.set()
                for call in calls:
                    answer = await call
                    assert [page.text for page in answer.pages] == ["one", "two"]
                    assert answer.text == "one\ftwo"
        assert [line["reason"] for line in gone.requests if "reason" in line] == ["SHUTTING_DOWN"]


@asynccontextmanager
async def names(name: str, *addresses: str) -> AsyncIterator[int]:
    """A name server (RFC 1035) that knows one name, on a port of loopback."""

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
            labels, at = [], 12
            while length := data[at]:
                labels.append(data[at + 1 : at + 1 + length].decode())
                at += 1 + length
            question = data[12 : at + 5]
            (kind,) = struct.unpack_from("!H", data, at + 1)
            known = ".".join(labels).lower() == name
            found = addresses if known and kind == 1 else ()
            # An answer from the authority; of a name that is not known, that there is none.
            header = data[:2] + struct.pack("!HHHHH", 0x8400 | (0 if known else 3), 1, len(found), 0, 0)
            records = b"".join(
                b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(address) for address in found
            )
            self.transport.sendto(header + question + records, sender)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


def test_a_stream_that_was_not_answered_is_sent_anew_as_a_plain_call_would_be() -> None:
    deadline = Deadline.after(60)
    away = TransportError(Reason.UNREACHABLE, "", code=grpc.StatusCode.UNAVAILABLE)
    pauses = [again_s(away, attempt, deadline) for attempt in range(1, 5)]
    for attempt, pause in enumerate(pauses):
        assert pause is not None
        assert 0.8 * 0.2 * 2**attempt <= pause <= 1.2 * 0.2 * 2**attempt
    assert again_s(away, 5, deadline) is None
    assert again_s(away, 4, Deadline.after(0.1)) is None
    # A server that says when is asked then; one that does not want to be asked again is not, nor after other failures.
    assert again_s(OverloadedError(Reason.STARTING, "", retry_after_s=2.0), 1, deadline) == 2.0
    assert again_s(OverloadedError(Reason.NO_CELL, ""), 1, deadline) is None
    assert again_s(OverloadedError(Reason.QUEUE_FULL, "", retry_after_s=2.0), 1, deadline) is None
    assert again_s(TransportError(Reason.UNREACHABLE, "", code=grpc.StatusCode.CANCELLED), 1, deadline) is None
