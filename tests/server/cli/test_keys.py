"""``cloister keys``, and the commands that show a key to a server with TLS."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typer.testing import CliRunner, Result

from server.cli import app
from server.cli.common import Exit
from server.settings import Settings
from tests.server.conftest import Tiny, tiny_server, tiny_settings
from tests.server.door.credentials import Authority
from tests.server.jobs import document


def cloister(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


def test_a_key_is_made_listed_and_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = cloister("keys", "add", "--tenant", "acme", "--note", "the scanner", "--days", "3", "--file", path)
    key = made.stdout.strip()
    id_ = key.split("_")[1]
    listed = cloister("keys", "list", "--file", path).stdout
    assert all(text in listed for text in (id_, "acme", "the scanner"))
    assert key not in listed
    assert cloister("keys", "revoke", id_, "--file", path).exit_code == 0
    assert id_ not in cloister("keys", "list", "--file", path).stdout
    again = cloister("keys", "revoke", id_, "--file", path)
    assert again.exit_code == Exit.FAILED
    assert "no key" in again.stderr


def test_the_settings_name_the_file_where_the_command_does_not(tmp_path: Path) -> None:
    config = tmp_path / "cloister.toml"
    config.write_text(f'[authentication]\nkeys = "{tmp_path}/keys"\n')
    assert cloister("keys", "add", "--tenant", "acme", "--config", config).exit_code == 0
    assert "acme" in cloister("keys", "list", "--config", config).stdout
    assert "authentication.keys" in cloister("keys", "list").stderr


def test_commands_show_a_key_and_know_a_server(tmp_path: Path) -> None:
    key = cloister("keys", "add", "--tenant", "acme", "--file", tmp_path / "keys").stdout
    (tmp_path / "token").write_text(key)
    (tmp_path / "scan.png").write_bytes(document("by TLS"))
    authority = Authority()
    ca = authority.write(tmp_path / "ca.pem")
    certificate, private = authority.sign("server").write(tmp_path, "server")
    settings = tiny_settings(
        tls={"certificate": str(certificate), "key": str(private)}, authentication={"keys": str(tmp_path / "keys")}
    )
    ocr = ("ocr", tmp_path / "scan.png", "--server")
    with in_a_thread(settings) as server:
        by_options = cloister(*ocr, server.address, "--ca", ca, "--token-file", tmp_path / "token")
        assert by_options.stdout == "by TLS\n"
        environment = {"CLOISTER_CA": str(ca), "CLOISTER_TOKEN": key.strip()}
        assert cloister(*ocr, server.address, env=environment).stdout == "by TLS\n"
        nobody = cloister(*ocr, server.address, "--ca", ca)
        assert nobody.exit_code == Exit.FAILED
        assert "NO_CREDENTIAL" in nobody.stderr
    nowhere = cloister(*ocr, "ocr.example:1", "--token-file", tmp_path / "token")
    assert nowhere.exit_code == Exit.NO_SERVER
    assert "in the clear" in nowhere.stderr
    missing = cloister(*ocr, "localhost:1", "--ca", tmp_path / "missing.pem")
    assert missing.exit_code == Exit.NO_SERVER
    assert "missing.pem" in missing.stderr


@contextmanager
def in_a_thread(settings: Settings) -> Iterator[Tiny]:
    """A server in a thread of its own: the command runs an event loop in this one."""
    started = threading.Event()
    found: list[Tiny] = []
    loop = asyncio.new_event_loop()
    leave = asyncio.Event()

    async def serve() -> None:
        async with tiny_server(settings) as server:
            found.append(server)
            started.set()
            await leave.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(60)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join()
        loop.close()
