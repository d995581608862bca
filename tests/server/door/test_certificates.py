"""TLS and mTLS over real channels, with certificates that change while the server runs."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from cloister.v1 import ocr_pb2
from server.access import Access, AccessError
from server.async_client import AsyncClient
from server.door import certificates
from server.errors import CredentialError, Reason
from server.settings import SettingsError
from tests.server.conftest import Tiny, tiny_server, tiny_settings
from tests.server.door.credentials import Authority, Signed
from tests.server.jobs import document


def tls(folder: Path, server: Signed, clients: Authority | None = None) -> dict[str, str]:
    certificate, key = server.write(folder, "server")
    files = {"certificate": str(certificate), "key": str(key)}
    return files if clients is None else files | {"clients_ca": str(clients.write(folder / "clients.pem"))}


async def reads(tiny: Tiny, access: Access, **more: object) -> str:
    async with AsyncClient(tiny.address, access=access, deadline_s=20) as client:
        return (await client.recognize(document("read"), **more)).text  # type: ignore[arg-type]


async def cannot_connect(tiny: Tiny, access: Access) -> bool:
    credentials = access.credentials(tiny.address)
    channel = (
        grpc.aio.insecure_channel(tiny.address)
        if credentials is None
        else grpc.aio.secure_channel(tiny.address, credentials, access.options)
    )
    async with channel:
        call = channel.unary_unary("/cloister.v1.OcrService/ListEngines")
        try:
            await call(b"", timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


async def test_a_client_that_knows_the_authority_is_served_and_no_other(tmp_path: Path) -> None:
    ours, other = Authority(), Authority("another")
    known = Access(ca=str(ours.write(tmp_path / "ca.pem")))
    async with tiny_server(tiny_settings(tls=tls(tmp_path, ours.sign("server")))) as tiny:
        assert await reads(tiny, known) == "read"
        assert await cannot_connect(tiny, Access())
        assert await cannot_connect(tiny, Access(ca=str(other.write(tmp_path / "other.pem"))))


async def test_new_certificates_hold_from_the_next_connection_on_and_old_connections_live(tmp_path: Path) -> None:
    first, second = Authority("first"), Authority("second")
    by_first = Access(ca=str(first.write(tmp_path / "first.pem")))
    by_second = Access(ca=str(second.write(tmp_path / "second.pem")))
    async with tiny_server(tiny_settings(tls=tls(tmp_path, first.sign("server")))) as tiny:
        async with AsyncClient(tiny.address, access=by_first, deadline_s=20) as standing:
            assert (await standing.recognize(document("before"))).text == "before"
            second.sign("server").write(tmp_path, "server")
            assert await reads(tiny, by_second) == "read"
            assert await cannot_connect(tiny, by_first)
            assert (await standing.recognize(document("after"))).text == "after"
        assert any(line["event"] == "read again" for line in tiny.lines)


async def test_certificates_that_do_not_go_together_leave_the_old_ones_in_force(tmp_path: Path) -> None:
    ours = Authority()
    known = Access(ca=str(ours.write(tmp_path / "ca.pem")))
    async with tiny_server(tiny_settings(tls=tls(tmp_path, ours.sign("server")))) as tiny:
        renewed = ours.sign("renewed")
        (tmp_path / "server.pem").write_bytes(renewed.pem)  # and its key has not come yet
        assert await reads(tiny, known) == "read"
        complaints = [line for line in tiny.lines if "can't be read any more" in str(line["event"])]
        assert len(complaints) == 1
        assert "not the key of" in str(complaints[0]["why"])
        (tmp_path / "server.key").write_bytes(renewed.key_pem)
        assert await reads(tiny, known) == "read"
        assert any(line["event"] == "read again" for line in tiny.lines)


async def test_with_mtls_a_client_shows_a_certificate_and_is_the_tenant_it_names(tmp_path: Path) -> None:
    ours, clients, strangers = Authority("ours"), Authority("clients"), Authority("strangers")
    settings = tiny_settings(
        tls=tls(tmp_path, ours.sign("server"), clients), authentication={"certificates": True}, audit={"to": "log"}
    )
    ca = str(ours.write(tmp_path / "ca.pem"))

    def client(authority: Authority, name: str) -> Access:
        certificate, key = authority.sign(name).write(tmp_path, name)
        return Access(ca=ca, certificate=certificate, key=key)

    async with tiny_server(settings) as tiny:
        acme = client(clients, "acme")
        assert await reads(tiny, acme) == "read"
        assert await reads(tiny, acme, context=ocr_pb2.RequestContext(tenant="acme")) == "read"
        with pytest.raises(CredentialError) as refused:
            await reads(tiny, acme, context=ocr_pb2.RequestContext(tenant="globex"))
        assert refused.value.reason == Reason.OTHER_TENANT
        with pytest.raises(CredentialError) as nameless:
            await reads(tiny, client(clients, "*"))
        assert nameless.value.reason == Reason.NO_CREDENTIAL
        assert await cannot_connect(tiny, Access(ca=ca))
        assert await cannot_connect(tiny, client(strangers, "stranger"))
        strangers.write(tmp_path / "clients.pem")
        assert await reads(tiny, client(strangers, "friend")) == "read"
        assert await cannot_connect(tiny, client(clients, "former"))
    audited = [line for line in tiny.lines if line["event"] == "audit"]
    assert [(line["tenant"], line["credential"], line["code"]) for line in audited] == [
        ("acme", "certificate:acme", "OK"),
        ("acme", "certificate:acme", "OK"),
        ("acme", "certificate:acme", "PERMISSION_DENIED"),
        ("", "", "UNAUTHENTICATED"),
        ("friend", "certificate:friend", "OK"),
    ]


async def test_a_server_does_not_start_with_certificates_it_cannot_use(tmp_path: Path) -> None:
    ours = Authority()
    files = tls(tmp_path, ours.sign("server"))
    ours.sign("other").write(tmp_path, "other")
    for wrong in ({"key": str(tmp_path / "other.key")}, {"key": files["certificate"]}, {"certificate": "/nowhere"}):
        with pytest.raises(SettingsError, match="tls"):
            async with tiny_server(tiny_settings(tls=files | wrong)):
                pytest.fail("it started")


def test_a_chain_may_hold_certificates_between(tmp_path: Path) -> None:
    ours = Authority()
    signed = ours.sign("server")
    certificate, key = signed.write(tmp_path, "server")
    certificate.write_bytes(signed.pem + ours.pem)
    assert certificates.read(certificate, key, None).chain == signed.pem + ours.pem


def test_a_token_does_not_go_to_other_hosts_in_the_clear() -> None:
    token = Access(token="secret")
    assert token.credentials("localhost:1") is None
    assert token.credentials("unix:/run/cloister") is None
    for address in ("192.0.2.1:1", "dns:///ocr.example:1", "ipv4:127.0.0.1:1,192.0.2.1:1"):
        with pytest.raises(AccessError, match="in the clear"):
            token.credentials(address)
        assert Access(token="secret", dangerously_in_the_clear=True).credentials(address) is None
    assert "secret" not in repr(token)


async def test_a_server_of_another_name_is_refused_unless_that_is_expected(tmp_path: Path) -> None:
    ours = Authority()
    ca = str(ours.write(tmp_path / "ca.pem"))
    async with tiny_server(tiny_settings(tls=tls(tmp_path, ours.sign("server")))) as tiny:
        assert await cannot_connect(tiny, Access(ca=ca, server_name="ocr.example"))
        assert await reads(tiny, Access(ca=ca, server_name="localhost")) == "read"
