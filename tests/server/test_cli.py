"""The ``cloister`` command, against a real server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from server import catalogue
from server.cli import app
from server.cli.common import Exit
from tests.server.conftest import Tiny, tiny, tiny_server
from tests.server.jobs import HEIGHT, WIDTH, document


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server in a thread of its own: the command runs an event loop in this one."""
    started = threading.Event()
    found: list[Tiny] = []
    loop = asyncio.new_event_loop()
    leave = asyncio.Event()

    async def serve() -> None:
        async with tiny_server() as server:
            found.append(server)
            started.set()
            await leave.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(30)
        yield found[0].address
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join()
        loop.close()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two documents, and between them one that crashes its cell."""
    contents = {"one.png": document("first words"), "bad.png": document("!crash"), "two.png": document("last", "page")}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [str(tmp_path / name) for name in contents]


def cloister(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def test_files_are_read_in_order_and_one_that_fails_is_named(address: str, files: list[str]) -> None:
    done = cloister("ocr", *files, "--server", address)
    assert done.stdout == "first words\nlast\fpage\n"
    assert "bad.png: CELL_CRASHED: the engine crashed on this document" in done.stderr
    assert done.exit_code == Exit.FAILED


def test_standard_input_is_read(address: str) -> None:
    done = cloister("ocr", "-", "--server", address, stdin=document("from a pipe"))
    assert (done.stdout, done.exit_code) == ("from a pipe\n", 0)


@pytest.mark.parametrize(("to", "suffix"), [("text", ".txt"), ("json", ".json"), ("tsv", ".tsv")])
def test_a_folder_gets_a_file_for_each_document(
    address: str, files: list[str], tmp_path: Path, to: str, suffix: str
) -> None:
    out = tmp_path / "out" / "deep"
    done = cloister("ocr", *files, "--to", to, "--out", str(out), "--server", address)
    assert {path.name for path in out.iterdir()} == {f"one{suffix}", f"two{suffix}"}
    assert "first" in (out / f"one{suffix}").read_text()
    assert not done.stdout


def test_json_and_tsv_hold_boxes(address: str, files: list[str]) -> None:
    as_json = json.loads(cloister("ocr", files[0], "--to", "json", "--server", address).stdout)
    assert as_json["pages"][0]["lines"][0]["words"][1]["quad"]["topLeft"]["x"] == 100
    as_tsv = cloister("ocr", files[0], "--to", "tsv", "--server", address).stdout
    assert as_tsv.splitlines()[-1].split("\t")[6:] == ["100", "10", "98", "20", "50.00", "words"]


def test_two_documents_for_one_file_are_refused(address: str, tmp_path: Path) -> None:
    done = cloister("ocr", "a/x.png", "b/x.png", "--out", str(tmp_path), "--server", address)
    assert done.exit_code == 2
    assert "x.txt" in done.stderr


def test_a_missing_file_does_not_keep_the_others_from_being_read(address: str, files: list[str]) -> None:
    done = cloister("ocr", "/nowhere.png", files[0], "--server", address)
    assert done.stdout == "first words\n"
    assert "/nowhere.png: No such file" in done.stderr
    assert done.exit_code == Exit.FAILED


def test_an_unknown_engine_is_named_with_those_there_are(address: str, files: list[str]) -> None:
    done = cloister("ocr", files[0], "--engine", "other", "--server", address)
    assert "UNKNOWN_ENGINE" in done.stderr
    assert "tiny" in done.stderr


def test_boxes_draws_the_words_onto_the_page(address: str, tmp_path: Path) -> None:
    scan, drawn = tmp_path / "scan.png", tmp_path / "drawn.png"
    Image.new("RGB", (WIDTH, HEIGHT), "white").save(scan)
    done = cloister("boxes", str(scan), "-o", str(drawn), "--server", address)
    assert done.exit_code == 0, done.stderr
    with Image.open(drawn) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors()}
    assert len(colours) > 1


def test_boxes_of_what_can_not_be_read_says_why(address: str, tmp_path: Path) -> None:
    scan = tmp_path / "scan.png"
    scan.write_bytes(document("!crash"))
    done = cloister("boxes", str(scan), "-o", str(tmp_path / "drawn.png"), "--server", address)
    assert done.exit_code == Exit.FAILED
    assert "CELL_CRASHED" in done.stderr


def test_boxes_of_an_engine_that_can_not_trace_says_so(address: str, tmp_path: Path) -> None:
    scan = tmp_path / "scan.png"
    Image.new("RGB", (WIDTH, HEIGHT), "white").save(scan)
    done = cloister("boxes", "--trace", str(scan), "-o", str(tmp_path / "drawn.png"), "--server", address)
    assert done.exit_code == Exit.FAILED
    assert "the engine tiny can't say how it read its page" in done.stderr


def test_without_a_server_one_lives_for_the_call(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "installed", lambda settings: (tiny("scribe"),))
    done = cloister("ocr", files[0], files[2])
    assert (done.stdout, done.exit_code) == ("first words\nlast\fpage\n", 0)
    assert not done.stderr


def test_an_embedded_server_that_can_not_start_says_why(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "installed", lambda settings: (tiny("scribe", broken=True),))
    done = cloister("ocr", files[0])
    assert done.exit_code == Exit.NO_SERVER
    assert "the tiny engine is broken" in done.stderr


@pytest.mark.parametrize("command", [["serve"], ["ocr", "x.png"], ["doctor"]])
def test_a_wrong_setting_ends_the_command_with_its_name(command: list[str], tmp_path: Path) -> None:
    config = tmp_path / "cloister.toml"
    config.write_text("[limits]\npagse = 3\n")
    done = cloister(*command, "--config", str(config))
    assert done.exit_code == Exit.NO_SERVER
    assert "limits.pagse: no such setting; did you mean pages?" in done.stderr


def test_the_doctor_names_every_layer() -> None:
    told = json.loads(cloister("doctor", "--json").stdout)
    findings = told["layers"]
    assert told["tried_in_cells"]
    assert told["host"]["kernel"]
    assert {finding["layer"] for finding in findings} >= {"seccomp", "cgroups", "mounts"}
    for finding in findings:
        assert finding["present"] or finding["why"], finding
    table = cloister("doctor").stdout
    for finding in findings:
        assert finding["layer"] in table
