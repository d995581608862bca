from __future__ import annotations

import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from cloister.v1 import ocr_pb2
from server import telemetry
from server.errors import OptionsError
from server.experiments import Experiments
from server.sections import LogFormat
from server.settings import SettingsError

SPLIT = {"fractional": [["new", 25], ["old", 75]]}


def flag(variants: dict[str, object], default: str, **more: object) -> dict[str, object]:
    return {"state": "ENABLED", "variants": variants, "defaultVariant": default, **more}


def engine_flag(targeting: object = None) -> dict[str, object]:
    more = {} if targeting is None else {"targeting": targeting}
    return flag({"old": "scribe", "new": "tesseract"}, "old", **more)


class Flags:
    """A file of flags, experiments on it, and what they logged."""

    def __init__(self, folder: Path, **flags: object) -> None:
        self.path = folder / "flags.json"
        self.stream = io.StringIO()
        self.written = 0
        self.write({"flags": flags})

    def write(self, content: object) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        self.path.write_text(text)
        # Two versions within one tick of the clock.
        self.written += 1
        os.utime(self.path, ns=(self.written * 10**9, self.written * 10**9))

    def experiments(self, **options: object) -> Experiments:
        made = {
            "default": "scribe",
            "engines": ["scribe", "tesseract"],
            "candidates": ["tesseract"],
            "log": telemetry.logger(LogFormat.JSON, self.stream),
            **options,
        }
        return Experiments(self.path, **made)  # type: ignore[arg-type]

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def context(**fields: str | int) -> ocr_pb2.RequestContext:
    return ocr_pb2.RequestContext(**fields)


NOBODY = context()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the file for every request, not twice a second."""
    monkeypatch.setattr("server.experiments._CHECK_PERIOD_S", 0.0)


def test_without_a_flag_the_default_engine_reads(tmp_path: Path) -> None:
    assigned = Flags(tmp_path).experiments().assign("", NOBODY, "r1")
    assert (assigned.engine, assigned.reason, assigned.candidate) == ("scribe", "DEFAULT", "")
    assert len(assigned.flags_version) == 12


def test_shares_are_exact_and_the_same_key_lands_alike_on_any_server(tmp_path: Path) -> None:
    flags = Flags(tmp_path, engine=engine_flag(SPLIT))
    first, second = flags.experiments(), flags.experiments()
    keys = [f"customer-{number}" for number in range(10_000)]
    landed = [first.assign("", context(key=key), "r").engine for key in keys]
    assert Counter(landed)["tesseract"] == pytest.approx(2500, abs=100)
    assert [second.assign("", context(key=key), "other").engine for key in keys[:200]] == landed[:200]


def test_a_request_without_a_key_sticks_to_its_tenant(tmp_path: Path) -> None:
    experiments = Flags(tmp_path, engine=engine_flag(SPLIT)).experiments()
    by_request = {experiments.assign("", NOBODY, f"r{number}").engine for number in range(100)}
    by_tenant = {experiments.assign("", context(tenant="acme"), f"r{number}").engine for number in range(100)}
    assert by_request == {"scribe", "tesseract"}
    assert len(by_tenant) == 1


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        ("tenant", "tenant", "acme"),
        ("document_kind", "documentKind", "receipt"),
        ("client", "client", "scanner"),
        ("pages", "pages", 40),
    ],
)
def test_rules_go_by_who_asks_and_for_what(tmp_path: Path, field: str, name: str, value: str | int) -> None:
    rule = {"if": [{"==": [{"var": name}, value]}, "new", None]}
    experiments = Flags(tmp_path, engine=engine_flag(rule)).experiments()
    matched = experiments.assign("", context(**{field: value}), "r")
    assert (matched.engine, matched.variant, matched.reason) == ("tesseract", "new", "TARGETING_MATCH")
    assert experiments.assign("", NOBODY, "r").engine == "scribe"


def test_the_shadow_is_sampled_and_never_the_control_itself(tmp_path: Path) -> None:
    shadow = flag({"none": "", "try": "tesseract"}, "none", targeting={"fractional": [["try", 10], ["none", 90]]})
    experiments = Flags(tmp_path, shadow=shadow).experiments()
    shares = Counter(experiments.assign("", NOBODY, f"r{number}").candidate for number in range(2000))
    assert shares["tesseract"] == pytest.approx(200, abs=50)
    assert experiments.assign("tesseract", NOBODY, "r").candidate == ""


def test_a_request_that_may_names_its_engine(tmp_path: Path) -> None:
    experiments = Flags(tmp_path, engine=engine_flag()).experiments(overriders=["qa"])
    assigned = experiments.assign("tesseract", context(tenant="qa"), "r")
    assert (assigned.engine, assigned.reason) == ("tesseract", "OVERRIDE")
    with pytest.raises(OptionsError, match="may not name"):
        experiments.assign("tesseract", context(tenant="acme"), "r")


@pytest.mark.parametrize(
    "switch",
    [flag({"on": True, "off": False}, "off"), {**flag({"on": True, "off": False}, "on"), "state": "DISABLED"}],
    ids=["off", "disabled"],
)
def test_the_kill_switch_ends_all_experiments_at_once(tmp_path: Path, switch: dict[str, object]) -> None:
    shadow = flag({"try": "tesseract"}, "try")
    everyone = flag({"new": "tesseract"}, "new")
    flags = Flags(tmp_path, engine=everyone, shadow=shadow)
    experiments = flags.experiments()
    assert experiments.assign("", NOBODY, "r").engine == "tesseract"
    assert experiments.enabled
    flags.write({"flags": {"engine": everyone, "shadow": shadow, "enabled": switch}})
    assigned = experiments.assign("", NOBODY, "r")
    assert (assigned.engine, assigned.candidate, assigned.reason) == ("scribe", "", "DISABLED")
    assert not experiments.enabled


def test_a_new_file_takes_over_and_says_its_version(tmp_path: Path) -> None:
    flags = Flags(tmp_path, engine=engine_flag())
    experiments = flags.experiments()
    assert experiments.assign("", NOBODY, "r").engine == "scribe"
    flags.write({"flags": {"engine": flag({"new": "tesseract"}, "new")}, "metadata": {"version": "v7"}})
    assigned = experiments.assign("", NOBODY, "r")
    assert (assigned.engine, assigned.flags_version) == ("tesseract", "v7")
    assert flags.events[-1]["version"] == "v7"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("{", "format"),
        ("[]", "format"),
        ({"flags": {"engine": flag({"a": "abbyy"}, "a")}}, "no engine abbyy"),
        ({"flags": {"engine": flag({"a": "scribe"}, "b")}}, "b"),
        ({"flags": {"engine": engine_flag({"if": [True, "third"]})}}, "third"),
        ({"flags": {"enabled": flag({"on": "yes"}, "on")}}, "bool"),
    ],
)
def test_a_broken_file_keeps_the_last_good_one_and_says_so_once(tmp_path: Path, broken: object, why: str) -> None:
    flags = Flags(tmp_path, engine=flag({"new": "tesseract"}, "new"))
    experiments = flags.experiments()
    good = experiments.version
    flags.write(broken)
    for _ in range(3):
        assert experiments.assign("", NOBODY, "r").engine == "tesseract"
    (refused,) = [event for event in flags.events if event["event"] == "flags refused"]
    assert why in str(refused["why"])
    assert refused["kept"] == good
    with pytest.raises(SettingsError, match=r"experiments\.flags"):
        flags.experiments()


def test_a_file_that_vanishes_is_reported_once(tmp_path: Path) -> None:
    flags = Flags(tmp_path, engine=flag({"new": "tesseract"}, "new"))
    experiments = flags.experiments()
    flags.path.unlink()
    for _ in range(3):
        assert experiments.assign("", NOBODY, "r").engine == "tesseract"
    assert [event["event"] for event in flags.events] == ["flags refused"]
