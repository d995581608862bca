"""``cloister shadow`` and ``cloister ramp``, on a database of comparisons."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cloister.v1 import ocr_pb2
from engines.documents import specimen
from server.cli import app
from server.cli.common import Exit
from server.records.comparison import Comparison, Entry, Kept
from server.records.store import Store
from server.records.vault import Vault
from tests.server.records.samples import comparison
from tests.server.report.samples import comparisons
from tests.server.test_flagfile import PLAIN

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


class Place:
    """A folder with settings, flags, a key and a database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.flags = folder / "flags.json"
        self.flags.write_text(PLAIN)
        self.keys = folder / "keys"
        self.keys.write_text(KEY)
        self.keys.chmod(0o600)
        self.config = folder / "cloister.toml"
        self.url = f"sqlite:///{folder}/records.db"
        self.config.write_text(
            f'[experiments]\nflags = "{self.flags}"\n[shadow]\ndatabase = "{self.url}"\nkeep_keys = "{self.keys}"\n'
        )

    def record(self, *those: Comparison, kept: Kept | None = None) -> None:
        store = Store(self.url, Vault.load(self.keys))
        now_s = time.time()
        store.add([Entry(replace(one, at_s=now_s - 60 + i / 100), kept) for i, one in enumerate(those)])
        store.close()

    def cloister(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(self.config)])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def scan() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(specimen.receipt()).save(buffer, "PNG")
    return buffer.getvalue()


def read(*words: tuple[str, float]) -> ocr_pb2.Page:
    page = ocr_pb2.Page(number=1, width=640, height=900)
    line = page.lines.add()
    for text, left in words:
        quad = line.words.add(text=text, confidence=0.9).quad
        for corner, x, y in (
            (quad.top_left, left, 100),
            (quad.top_right, left + 80, 100),
            (quad.bottom_right, left + 80, 130),
            (quad.bottom_left, left, 130),
        ):
            corner.x, corner.y = x, y
    return page


def kept() -> Kept:
    return Kept(scan(), (read(("Total", 50), ("19.78", 200)),), (read(("Total", 50), ("19.76", 200), ("x", 400)),))


def test_the_report_says_what_to_do_and_writes_a_page(place: Place) -> None:
    place.record(*comparisons(500))
    done = place.cloister("shadow", "report")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[0] == "tesseract 5.3 against scribe 1.0"
    assert "RAMP" in done.stdout
    made = json.loads(place.cloister("shadow", "report", "--json").stdout)
    assert (made["verdict"], made["documents"]) == ("ramp", 500)
    page = place.folder / "report.html"
    assert place.cloister("shadow", "report", "--html", str(page)).exit_code == 0
    assert page.read_text().count("<svg") >= 4


def test_each_candidate_has_a_report_and_one_can_be_asked_for(place: Place) -> None:
    place.record(*comparisons(30), *comparisons(20, candidate="abbyy", seed=2))
    made = [json.loads(line) for line in place.cloister("shadow", "report", "--json").stdout.splitlines()]
    assert {one["candidate"]: one["documents"] for one in made} == {"tesseract": 30, "abbyy": 20}
    (one,) = place.cloister("shadow", "report", "--json", "--candidate", "abbyy").stdout.splitlines()
    assert json.loads(one)["candidate"] == "abbyy"


def test_demands_are_settings(place: Place) -> None:
    place.record(*comparisons(500))
    place.config.write_text(place.config.read_text() + "[ramp]\nagreement = 0.999\n")
    assert json.loads(place.cloister("shadow", "report", "--json").stdout)["verdict"] == "hold"


def test_nothing_compared_is_said(place: Place) -> None:
    done = place.cloister("shadow", "report")
    assert done.exit_code == Exit.FAILED
    assert "nothing was compared in the last 30 days" in done.stderr


def test_a_database_that_can_not_be_reached_is_named_without_a_traceback(place: Place) -> None:
    place.config.write_text(f'[shadow]\ndatabase = "postgresql://u:hunter2@/none?host={place.folder}"\n')
    done = place.cloister("shadow", "report")
    assert done.exit_code == Exit.FAILED
    assert "u:***@" in done.stderr
    assert "hunter2" not in done.stderr


def test_what_differs_is_shown_and_drawn_where_it_was_kept_and_who_looked_is_recorded(place: Place) -> None:
    place.record(comparison("r1"), kept=kept())
    png = place.folder / "diff.png"
    done = place.cloister("shadow", "diff", "r1", "--png", str(png), "--why", "digits differ")
    assert done.exit_code == 0, done.stderr
    assert "19.78" in done.stdout
    assert "19.76" in done.stdout
    with Image.open(png) as drawn:
        assert drawn.size == Image.open(io.BytesIO(scan())).size
        colours = {colour for _, colour in drawn.getcolors(1 << 24)}
    assert {(40, 80, 170), (217, 105, 10), (150, 190, 160)} <= colours
    listed = place.cloister("shadow", "accesses", "r1").stdout
    assert "digits differ" in listed
    assert "@" in listed


def test_without_consent_there_are_counts_and_no_picture(place: Place) -> None:
    place.record(comparison("r1"))
    done = place.cloister("shadow", "diff", "r1")
    assert done.exit_code == 0
    assert "same_text" in done.stdout
    assert "not kept" in done.stdout
    done = place.cloister("shadow", "diff", "r1", "--png", str(place.folder / "x.png"))
    assert done.exit_code == Exit.FAILED
    assert "was not kept" in done.stderr


def test_a_kept_document_that_can_not_be_drawn_says_so(place: Place) -> None:
    place.record(comparison("r1"), kept=replace(kept(), document=b"not an image"))
    done = place.cloister("shadow", "diff", "r1", "--png", str(place.folder / "x.png"))
    assert done.exit_code == Exit.FAILED
    assert "can't be read" in done.stderr


def test_the_truth_of_a_kept_document_says_who_is_right(place: Place) -> None:
    place.record(comparison("r1"), kept=kept())
    true = place.folder / "true.txt"
    true.write_text("Total 19.78\n")
    done = place.cloister("shadow", "truth", "r1", str(true))
    assert done.stdout == "F1 of the control 1.000, of the candidate 0.400\n"
    made = json.loads(place.cloister("shadow", "report", "--json").stdout)
    assert (made["truth"]["documents"], made["truth"]["control"]) == (1, 1.0)


def test_what_is_kept_can_be_purged(place: Place) -> None:
    place.record(comparison("r1"), kept=kept())
    assert place.cloister("shadow", "purge").stdout == "0 deleted\n"


def test_a_candidate_that_does_well_is_ramped_step_by_step(place: Place) -> None:
    place.record(*comparisons(500))
    dry = place.cloister("ramp", "tesseract", "--dry-run")
    assert dry.stdout.startswith("tesseract: 0 % -> 1 % of what scribe answers")
    assert place.flags.read_text() == PLAIN
    for line in ("tesseract: 0 % -> 1 %", "tesseract: 1 % -> 5 %"):
        done = place.cloister("ramp", "tesseract")
        assert done.exit_code == 0, done.stderr
        assert done.stdout.startswith(line)
    assert json.loads(place.flags.read_text())["flags"]["engine"]["targeting"] == {
        "fractional": [["new", 5], ["old", 95]]
    }


@pytest.mark.parametrize(
    ("those", "said"),
    [(comparisons(50), "says hold"), (comparisons(500, failing=0.3), "says stop"), ([], "was not compared")],
    ids=["hold", "stop", "nothing"],
)
def test_what_the_report_does_not_bear_is_refused_and_can_always_be_taken_back(
    place: Place, those: list[Comparison], said: str
) -> None:
    before = PLAIN.replace('"old"\n', '"old", "targeting": {"fractional": [["new", 25], ["old", 75]]}\n')
    place.flags.write_text(before)
    place.record(*those)
    done = place.cloister("ramp", "tesseract")
    assert done.exit_code == Exit.FAILED
    assert said in done.stderr
    assert place.flags.read_text() == before
    place.config.write_text(place.config.read_text().replace(place.url, "postgresql:///lost?host=/nowhere"))
    assert place.cloister("ramp", "tesseract").exit_code == Exit.FAILED
    assert place.cloister("ramp", "tesseract", "--back").exit_code == 0
    assert '["new", 0], ["old", 100]' in place.flags.read_text()
