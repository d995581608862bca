"""What is recommended, and why; what a report says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from server.records.comparison import Comparison
from server.report import html, text
from server.report.recommendation import Demands, Verdict
from server.report.summary import NothingComparedError, Report, report
from tests.server.report.samples import comparisons

DEMANDS = Demands()


def verdicts(made: Report) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in made.checks}


def test_a_candidate_that_agrees_and_does_not_fail_is_ramped() -> None:
    made = report(comparisons(600, alike=0.98), DEMANDS)
    assert made.verdict is Verdict.RAMP
    assert set(verdicts(made)) == {"documents", "failures", "agreement", "kinds", "time"}
    assert made.agreement is not None
    assert made.agreement.low < 0.98 < made.agreement.high + 0.01


@pytest.mark.parametrize(
    ("those", "name", "verdict"),
    [
        (comparisons(50), "documents", Verdict.HOLD),
        (comparisons(300, failing=0.01), "failures", Verdict.HOLD),
        (comparisons(600, failing=0.2), "failures", Verdict.STOP),
        (comparisons(600, alike=0.9), "agreement", Verdict.HOLD),
        (comparisons(600, slowdown=2.4), "time", Verdict.HOLD),
        (comparisons(600, alike=0.9, better=-0.03), "truth", Verdict.STOP),
        (comparisons(60, alike=0.9, better=-0.013), "truth", Verdict.HOLD),
    ],
    ids=["few", "too few to tell of failures", "fails", "differs", "slow", "worse", "too few to tell of truth"],
)
def test_each_demand_can_hold_or_stop_it(those: Sequence[Comparison], name: str, verdict: Verdict) -> None:
    made = report(those, DEMANDS)
    assert verdicts(made)[name] is verdict
    assert made.verdict in (verdict, Verdict.STOP)


def test_where_the_truth_is_known_it_decides_and_not_agreement() -> None:
    made = report(comparisons(600, alike=0.85, better=0.02), DEMANDS)
    assert made.verdict is Verdict.RAMP
    assert "agreement" not in verdicts(made)
    assert made.truth is not None
    assert made.truth.difference.low > 0
    assert made.truth.candidate - made.truth.control == pytest.approx(made.truth.difference.estimate)


def test_a_kind_that_is_worse_holds_what_is_well_on_the_whole() -> None:
    well = comparisons(900, alike=0.985, kinds=("receipt",))
    badly = comparisons(60, alike=0.8, kinds=("contract",), seed=2)
    made = report([*well, *badly], DEMANDS)
    assert verdicts(made)["agreement"] is Verdict.RAMP
    assert made.verdict is Verdict.HOLD
    assert "contract" in next(check.ground for check in made.checks if check.name == "kinds")


def test_only_the_versions_and_rules_compared_last_count() -> None:
    old = comparisons(300, alike=0.5, candidate_version="5.2")
    new = [replace(one, id=f"new-{one.id}") for one in comparisons(250)]
    made = report([*old, *new], DEMANDS)
    assert (made.documents, made.left_out, made.candidate_version) == (250, 300, "5.3")


def test_a_candidate_that_reads_nothing_at_all_is_stopped() -> None:
    made = report(comparisons(100, failing=1.0), DEMANDS)
    assert made.verdict is Verdict.STOP
    assert made.failed == {"CELL_CRASHED": 100}
    assert html.page([made])
    text.show(made, Console(quiet=True))


def test_nothing_to_report_on_is_said() -> None:
    with pytest.raises(NothingComparedError):
        report([], DEMANDS)


def test_the_costs_and_differences_are_those_of_the_records() -> None:
    those = comparisons(200)
    made = report(those, DEMANDS)
    words = sum(one.agreement.differ_digits for one in those if one.agreement is not None)
    assert made.differences["another digit"] == words
    assert list(made.differences.values()) == sorted(made.differences.values(), reverse=True)
    assert made.candidate_cost.seconds[0] > made.control_cost.seconds[0]
    assert made.control_cost.memory_bytes == 70 << 20
    assert made.worst[0].words == max(one.words for one in made.worst)


def test_the_page_needs_nothing_else_and_shows_names_as_they_are() -> None:
    made = report(comparisons(100, kinds=("<script>alert(1)</script>", "b" * 200), better=0.0), DEMANDS)
    page = html.page([made])
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("<svg") == 6
    assert page.count("<svg") == page.count("</svg>")
    assert "nan" not in page


def test_the_page_of_several_candidates_holds_each() -> None:
    first, second = report(comparisons(100), DEMANDS), report(comparisons(100, candidate="abbyy"), DEMANDS)
    assert html.page([first, second]).count("<h1>") == 2


def test_the_report_as_json_can_be_read_back() -> None:
    made = json.loads(json.dumps(text.as_json(report(comparisons(100), DEMANDS))))
    assert made["verdict"] == "hold"
    assert made["agreement"]["low"] < made["agreement"]["estimate"] < made["agreement"]["high"]
    assert made["total"]["wer"] > 0
