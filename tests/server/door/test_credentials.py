"""Who shows no good credential is turned away from everything but health; who does is the tenant it says, no other."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import jwt
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from cloister.v1 import ocr_pb2
from server.access import Access
from server.async_client import AsyncClient
from server.client import Client
from server.door import keys
from server.errors import CloisterError, CredentialError, Reason
from server.settings import SettingsError
from tests.server.conftest import Tiny, tiny_server, tiny_settings
from tests.server.conftest import tiny as entry
from tests.server.door.credentials import AUDIENCE, ISSUER, Issuer, write_jwks
from tests.server.jobs import document

KEYS = {"keys": "keys"}


@asynccontextmanager
async def guarded(folder: Path, **authentication: object) -> AsyncIterator[Tiny]:
    files = {name: str(folder / str(value)) for name, value in authentication.items() if name in ("keys", "jwks")}
    async with tiny_server(tiny_settings(authentication=authentication | files)) as tiny:
        yield tiny


async def outcome(tiny: Tiny, token: str, tenant: str = "") -> str:
    """The reason of a refusal, or "OK"."""
    async with AsyncClient(tiny.address, access=Access(token=token), deadline_s=20) as client:
        try:
            await client.recognize(document("x"), context=ocr_pb2.RequestContext(tenant=tenant))
        except CredentialError as error:
            return str(error.reason)
    return "OK"


async def test_health_is_open_and_everything_else_is_not(tmp_path: Path) -> None:
    key = keys.add(tmp_path / "keys", "acme")
    async with guarded(tmp_path, **KEYS) as tiny, grpc.aio.insecure_channel(tiny.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
        listing = reflection_pb2.ServerReflectionRequest(list_services="")
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await reflection.ServerReflectionInfo(iter([listing])).read()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        answer = await reflection.ServerReflectionInfo(
            iter([listing]), metadata=(("authorization", f"Bearer {key}"),)
        ).read()
        assert "cloister.v1.OcrService" in {service.name for service in answer.list_services_response.service}
        async with AsyncClient(tiny.address) as client:
            with pytest.raises(CredentialError) as listed:
                await client.engines()
            assert (listed.value.reason, listed.value.code) == (
                Reason.NO_CREDENTIAL,
                grpc.StatusCode.UNAUTHENTICATED,
            )
            with pytest.raises(CredentialError):
                async with client.stream(document("x")) as pages:
                    await anext(aiter(pages))
        assert not tiny.requests, "the service has heard of none of it"


async def test_a_key_opens_until_it_is_revoked_and_new_ones_hold_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first = keys.add(path, "acme")
    async with guarded(tmp_path, **KEYS) as tiny:
        assert await outcome(tiny, first) == "OK"
        assert await outcome(tiny, first[:-1] + ("A" if first[-1] != "A" else "B")) == Reason.INVALID_CREDENTIAL
        assert await outcome(tiny, "whatever") == Reason.INVALID_CREDENTIAL
        second = keys.add(path, "globex")
        assert await outcome(tiny, second) == "OK"
        keys.revoke(path, first.split("_")[1])
        assert await outcome(tiny, first) == Reason.INVALID_CREDENTIAL
        assert await outcome(tiny, second) == "OK"
        brief = keys.add(path, "acme", days=0)
        assert await outcome(tiny, brief) == Reason.CREDENTIAL_EXPIRED


async def test_a_damaged_file_of_keys_leaves_those_it_held_in_force(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key = keys.add(path, "acme")
    good = path.read_text()
    async with guarded(tmp_path, **KEYS) as tiny:
        path.write_text("not a key\n")
        assert await outcome(tiny, key) == "OK"
        assert any("line 1" in str(line.get("why")) for line in tiny.lines)
        path.write_text(good + "\n")
        assert await outcome(tiny, key) == "OK"
    path.write_text("not a key\n")
    with pytest.raises(SettingsError, match=r"authentication\.keys.*line 1"):
        async with guarded(tmp_path, **KEYS):
            pytest.fail("it started")


async def test_the_tenant_is_the_keys_and_no_other_can_be_claimed(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    acme, anyone = keys.add(path, "acme"), keys.add(path, "*")
    async with guarded(tmp_path, **KEYS) as tiny:
        assert await outcome(tiny, acme) == "OK"
        assert await outcome(tiny, acme, tenant="acme") == "OK"
        assert await outcome(tiny, acme, tenant="globex") == Reason.OTHER_TENANT
        assert await outcome(tiny, acme, tenant="*") == Reason.OTHER_TENANT
        assert await outcome(tiny, anyone, tenant="globex") == "OK"


async def test_flags_and_quotas_go_by_the_tenant_of_the_credential(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    acme, globex = keys.add(path, "acme"), keys.add(path, "globex")
    variants = {"tiny": "tiny", "other": "other"}
    rule = {"if": [{"==": [{"var": "tenant"}, "globex"]}, "other", "tiny"]}
    flag = {"state": "ENABLED", "variants": variants, "defaultVariant": "tiny", "targeting": rule}
    (tmp_path / "flags.json").write_text(json.dumps({"flags": {"engine": flag}}))
    settings = tiny_settings(
        authentication={"keys": str(path)},
        experiments={"flags": str(tmp_path / "flags.json")},
        quotas={"tenants": {"globex": {"requests_per_s": 0.01, "burst": 1}}},
    ).model_copy(update={"engines": ("tiny", "other")})
    async with tiny_server(settings, entry(), entry("other")) as server:

        def engine(key: str) -> str:
            with Client(server.address, access=Access(token=key), deadline_s=5) as client:
                return client.recognize(document("x")).provenance.engine

        assert await asyncio.to_thread(engine, acme) == "tiny"
        assert await asyncio.to_thread(engine, globex) == "other"
        assert await asyncio.to_thread(engine, acme) == "tiny"
        with pytest.raises(CloisterError) as refused:
            await asyncio.to_thread(engine, globex)
        assert refused.value.reason == Reason.RATE_LIMITED


async def test_a_token_is_taken_if_it_is_ours_and_valid(tmp_path: Path) -> None:
    ours, stranger = Issuer(), Issuer()
    write_jwks(tmp_path / "jwks", ours)
    async with guarded(tmp_path, jwks="jwks", audience=AUDIENCE, issuer=ISSUER) as tiny:
        assert await outcome(tiny, ours.token()) == "OK"
        assert await outcome(tiny, ours.token(), tenant="acme") == "OK"
        assert await outcome(tiny, ours.token(), tenant="globex") == Reason.OTHER_TENANT
        assert await outcome(tiny, ours.token(exp=time.time() - 60)) == Reason.CREDENTIAL_EXPIRED
        for wrong in (
            ours.token(aud="another service"),
            ours.token(iss="https://another.example"),
            ours.token(exp=None),
            ours.token(aud=None),
            ours.token(nbf=time.time() + 600),
            ours.token(tenant=None),
            ours.token(tenant="*"),
            ours.token(tenant=7),
            stranger.token(),
            Issuer("unheard of").token(),
            unsigned(ours.token()),
            ours.token()[:-3] + "AAA",
            "a.b.c",
        ):
            assert await outcome(tiny, wrong) == Reason.INVALID_CREDENTIAL


async def test_an_issuers_new_key_holds_at_once_and_its_old_one_no_more(tmp_path: Path) -> None:
    old, new = Issuer("old"), Issuer("new")
    write_jwks(tmp_path / "jwks", old)
    async with guarded(tmp_path, jwks="jwks", audience=AUDIENCE) as tiny:
        assert await outcome(tiny, new.token()) == Reason.INVALID_CREDENTIAL
        write_jwks(tmp_path / "jwks", old, new)
        assert await outcome(tiny, new.token()) == "OK"
        assert await outcome(tiny, old.token()) == "OK"
        write_jwks(tmp_path / "jwks", new)
        assert await outcome(tiny, old.token()) == Reason.INVALID_CREDENTIAL


async def test_keys_and_tokens_may_be_taken_beside_each_other(tmp_path: Path) -> None:
    issuer = Issuer()
    write_jwks(tmp_path / "jwks", issuer)
    key = keys.add(tmp_path / "keys", "acme")
    async with guarded(tmp_path, **KEYS, jwks="jwks", audience=AUDIENCE) as tiny:
        assert await outcome(tiny, key) == "OK"
        assert await outcome(tiny, issuer.token()) == "OK"
        assert await outcome(tiny, "neither") == Reason.INVALID_CREDENTIAL


async def test_secrets_are_not_taken_for_public_keys(tmp_path: Path) -> None:
    (tmp_path / "jwks").write_text(json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "a"}]}))
    with pytest.raises(SettingsError, match="HS256"):
        async with guarded(tmp_path, jwks="jwks", audience=AUDIENCE):
            pytest.fail("it started")


async def test_a_token_in_a_file_is_read_for_each_call(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first = keys.add(path, "acme")
    access = Access(token_file=tmp_path / "token")
    (tmp_path / "token").write_text(first + "\n")
    async with guarded(tmp_path, **KEYS) as tiny, AsyncClient(tiny.address, access=access, deadline_s=20) as client:
        assert (await client.recognize(document("one"))).text == "one"
        keys.revoke(path, first.split("_")[1])
        (tmp_path / "token").write_text(keys.add(path, "acme"))
        assert (await client.recognize(document("two"))).text == "two"


async def test_what_the_environment_says_holds_where_nothing_else_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOISTER_TOKEN", keys.add(tmp_path / "keys", "acme"))
    async with guarded(tmp_path, **KEYS) as tiny:
        async with AsyncClient(tiny.address) as client:
            assert (await client.recognize(document("one"))).text == "one"
        async with AsyncClient(tiny.address, access=Access()) as client:
            with pytest.raises(CredentialError):
                await client.recognize(document("one"))


def unsigned(token: str) -> str:
    """The same claims, by the algorithm "none"."""
    return jwt.encode(jwt.decode(token, options={"verify_signature": False}), None, algorithm="none")
