"""Settings are safe as they are, and a wrong one names itself."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from server.addresses import is_local
from server.settings import Settings, SettingsError, load

ROOT = Path(__file__).parents[2]


def problems(tmp_path: Path, text: str) -> str:
    path = tmp_path / "cloister.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load(path)
    return str(raised.value)


def test_the_defaults_listen_on_this_host_alone_and_give_up_no_layer() -> None:
    settings = load()
    assert is_local(settings.listen.address)
    assert not settings.listen.dangerously_without_credentials
    assert not settings.listen.dangerously_without_tls
    assert not settings.jail.dangerously_without


def test_the_example_file_shows_every_setting_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.sizing.cpus", lambda: 2)
    monkeypatch.setattr("server.sizing.memory", lambda: 4 << 30)
    example = load(ROOT / "deploy/cloister.toml")
    assert example == Settings()
    text = (ROOT / "deploy/cloister.toml").read_text()
    for name, value in Settings():
        for key in type(value).model_fields if isinstance(value, BaseModel) else (name,):
            assert f"{key} = " in text, f"{name}.{key} is not in the example"


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cloister.toml"
    path.write_text("[limits]\npages = 7\nqueue = 3\n")
    monkeypatch.setenv("CLOISTER_LIMITS__PAGES", "9")
    limits = load(path).limits
    assert (limits.pages, limits.queue) == (9, 3)


@pytest.mark.parametrize("address", ["0.0.0.0:50051", "[::]:50051", "192.0.2.7:1", "example.com:1", ":50051"])
def test_an_address_that_others_can_reach_is_refused_without_credentials_and_tls(tmp_path: Path, address: str) -> None:
    listen = f'[listen]\naddress = "{address}"\n'
    credentials = '[authentication]\nkeys = "keys"\n'
    tls = '[tls]\ncertificate = "server.pem"\nkey = "server.key"\n'
    assert "listen.dangerously_without_credentials" in problems(tmp_path, listen)
    assert "listen.dangerously_without_credentials" in problems(tmp_path, listen + tls)
    assert "listen.dangerously_without_tls" in problems(tmp_path, listen + credentials)
    path = tmp_path / "cloister.toml"
    path.write_text(listen + credentials + tls)
    assert load(path).listen.address == address


@pytest.mark.parametrize(
    ("off", "missing"),
    [
        ("dangerously_without_tls = true", "listen.dangerously_without_credentials"),
        ("dangerously_without_credentials = true", "listen.dangerously_without_tls"),
    ],
)
def test_each_protection_is_given_up_by_its_own_name(tmp_path: Path, off: str, missing: str) -> None:
    assert missing in problems(tmp_path, f'[listen]\naddress = "0.0.0.0:1"\n{off}')


def test_an_address_that_others_can_reach_is_taken_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "cloister.toml"
    given_up = "dangerously_without_credentials = true\ndangerously_without_tls = true"
    path.write_text(f'[listen]\naddress = "0.0.0.0:50051"\n{given_up}')
    assert load(path).listen.address == "0.0.0.0:50051"


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "localhost:1", "unix:/run/x", "dns:///localhost:1"]
)
def test_an_address_of_this_host_is_taken(address: str) -> None:
    assert is_local(address)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[limits]\npage = 3", ["limits.page", "did you mean pages"]),
        ('[limits]\npages = "x"', ["limits.pages", "integer", "'x'"]),
        ("[limits]\npages = 0", ["limits.pages", "greater than 0"]),
        ("[limits]\ndeadline_s = 900", ["limits", "deadline_cap_s"]),
        ("[cells]\nmemory_bytes = 3", ["cells.memory_bytes", "64 MiB"]),
        ('[jail]\ndangerously_without = ["seccmp"]', ["jail.dangerously_without", "'seccomp'"]),
        ('default_engine = "other"', ["default_engine 'other'"]),
        ("engines = []", ["engines"]),
        ('[tls]\ncertificate = "server.pem"', ["tls", "certificate and key"]),
        ('[tls]\nclients_ca = "ca.pem"', ["tls", "certificate and key"]),
        ('[authentication]\njwks = "jwks.json"', ["authentication", "audience"]),
        ("[authentication]\ncertificates = true", ["tls.clients_ca"]),
        ("[quotas.tenants.acme]\nat_once = -1", ["quotas.tenants.acme.at_once", "greater than or equal to 0"]),
        ("[limits", ["not TOML", "cloister.toml"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_wrong(tmp_path: Path, text: str, names: list[str]) -> None:
    message = problems(tmp_path, text)
    for name in names:
        assert name in message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    message = problems(tmp_path, "[limits]\npages = 0\nqueue = -1")
    assert "limits.pages" in message
    assert "limits.queue" in message


def test_a_mistyped_section_in_the_environment_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOISTER_LIMIT__PAGES", "9")
    with pytest.raises(SettingsError, match="CLOISTER_LIMITS"):
        load()


def test_what_kubernetes_sets_for_a_service_of_our_name_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOISTER_PORT", "tcp://10.0.0.1:50051")
    monkeypatch.setenv("CLOISTER_SERVICE_HOST", "10.0.0.1")
    load()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml"):
        load(tmp_path / "none.toml")
