"""Makes a report of the comparisons of two engines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from server.comparison import Agreement
from server.records.comparison import OK, Comparison, Rightness, Spent
from server.report import recommendation, statistics
from server.report.recommendation import Check, Demands, Verdict
from server.report.statistics import CONFIDENCE, Floats, Interval

UNNAMED = "(no kind)"
OTHERS = "(other kinds)"
QUANTILES = (0.5, 0.9, 0.99)
_MOST_KINDS = 12
_MOST_WORST = 15
_PERIODS = 24
_KIND_DOCUMENTS = 20
"""A kind of fewer documents is shown, and decides nothing."""
_TRUTH_DOCUMENTS = 30

_DIFFERENCES = {
    "differ_digits": "another digit",
    "differ_letters": "other letters",
    "differ_case": "another case",
    "differ_punctuation": "other punctuation",
    "only_control": "found by control alone",
    "only_candidate": "found by candidate alone",
    "merged": "merged by the candidate",
    "split": "split by the candidate",
}


@dataclass(frozen=True, slots=True)
class Against:
    """Two engines against the truth: F1, and the difference of the second from the first."""

    documents: int
    control: float
    candidate: float
    difference: Interval


@dataclass(frozen=True, slots=True)
class Kind:
    """Documents of one kind."""

    name: str
    documents: int
    failed: int
    agreement: Interval | None
    truth: Against | None


@dataclass(frozen=True, slots=True)
class Period:
    """Part of the time: ``start_s`` since 1970."""

    start_s: float
    documents: int
    failed: int
    agreement: Interval | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one engine's readings took. CPU and memory are their cells', None where not known."""

    seconds: tuple[float, ...]
    """At `QUANTILES`."""
    cpu_s_a_page: float | None
    memory_bytes: int | None
    """The most at the median document."""


@dataclass(frozen=True, slots=True)
class Slowdown:
    """The candidate's time to the control's at the median document.

    ``of`` is "CPU time" where that is known of all: the control may have had more cells, and more of the CPUs.
    """

    ratio: Interval
    of: str


@dataclass(frozen=True, slots=True)
class Worst:
    """A document whose readings differ much: how many words, and in what share they agree."""

    id: str
    document_kind: str
    words: int
    agreement: float


@dataclass(frozen=True, slots=True)
class Report:
    control: str
    control_version: str
    candidate: str
    candidate_version: str
    rules: str
    confidence: float
    since_s: float
    until_s: float
    documents: int
    pages: int
    left_out: int
    """Comparisons of other versions or by other rules."""
    demands: Demands
    verdict: Verdict
    checks: tuple[Check, ...]
    total: Agreement
    agreement: Interval | None
    truth: Against | None
    failures: Interval
    failed: dict[str, int]
    """Documents the candidate failed on, by reason, most first."""
    kinds: tuple[Kind, ...]
    periods: tuple[Period, ...]
    differences: dict[str, int]
    """Words by what is different, most first."""
    worst: tuple[Worst, ...]
    control_cost: Cost
    candidate_cost: Cost
    slowdown: Slowdown | None


class NothingComparedError(Exception):
    """There is nothing to report on."""


def report(comparisons: Sequence[Comparison], demands: Demands) -> Report:
    """Of one control and one candidate in the versions, and by the rules, that were compared last.

    ``comparisons`` are in order of time. Raises `NothingComparedError` where there are none.
    """
    if not comparisons:
        raise NothingComparedError("nothing has been compared")
    last = comparisons[-1]
    those = [one for one in comparisons if _version(one) == _version(last)]
    read = [one for one in those if one.agreement is not None]
    failed = Counter(one.status for one in those if one.status != OK)
    agreed, truth = _agreement(read), _against(read)
    kinds = _kinds(those)
    slowdown = _slowdown(read)
    failures = statistics.wilson(failed.total(), len(those))
    total = sum((one.agreement for one in read if one.agreement is not None), Agreement())
    checks = _checks(those, demands, agreed=agreed, truth=truth, failures=failures, slowdown=slowdown)
    return Report(
        control=last.control,
        control_version=last.control_version,
        candidate=last.candidate,
        candidate_version=last.candidate_version,
        rules=last.rules,
        confidence=CONFIDENCE,
        since_s=those[0].at_s,
        until_s=last.at_s,
        documents=len(those),
        pages=sum(one.pages for one in those),
        left_out=len(comparisons) - len(those),
        demands=demands,
        verdict=recommendation.overall(checks),
        checks=tuple(checks),
        total=total,
        agreement=agreed,
        truth=truth,
        failures=failures,
        failed=dict(failed.most_common()),
        kinds=kinds,
        periods=_periods(those),
        differences=_differences(total),
        worst=_worst(read),
        control_cost=_cost(read, [one.control_spent for one in read]),
        candidate_cost=_cost(read, [one.candidate_spent for one in read]),
        slowdown=slowdown,
    )


def _version(one: Comparison) -> tuple[str, ...]:
    return one.control, one.control_version, one.candidate, one.candidate_version, one.rules


def _checks(
    those: Sequence[Comparison],
    demands: Demands,
    *,
    agreed: Interval | None,
    truth: Against | None,
    failures: Interval,
    slowdown: Slowdown | None,
) -> list[Check]:
    checks = [recommendation.enough(len(those), demands), recommendation.failures(failures, demands)]
    by_truth = truth is not None and truth.documents >= _TRUTH_DOCUMENTS
    if truth is not None and by_truth:
        checks.append(recommendation.against_truth(truth.difference, truth.documents, demands))
    elif agreed is not None:
        checks.append(recommendation.agreement(agreed, demands))
    named = [(name, ones) for name, ones in _by_kind(those) if len(ones) >= _KIND_DOCUMENTS]
    if named:
        # As many chances to be wrong as there are kinds: Bonferroni's correction.
        confidence = 1 - (1 - CONFIDENCE) / len(named)
        worse = [name for name, ones in named if _is_worse(ones, demands, by_truth, confidence)]
        checks.append(recommendation.kinds(worse, len(named)))
    if slowdown is not None:
        checks.append(recommendation.slowdown(slowdown.ratio, slowdown.of, demands))
    return checks


def _is_worse(ones: Sequence[Comparison], demands: Demands, by_truth: bool, confidence: float) -> bool:
    if by_truth:
        truth = _against(ones, confidence)
        return truth is not None and truth.difference.high < -demands.margin
    agreed = _agreement(ones, confidence)
    return agreed is not None and agreed.high < demands.agreement


def _agreement(ones: Sequence[Comparison], confidence: float = CONFIDENCE) -> Interval | None:
    """F1 of words that both read alike."""
    parts = [
        (2.0 * one.agreement.same_text, float(one.agreement.control_words + one.agreement.candidate_words))
        for one in ones
        if one.agreement is not None
    ]
    return statistics.share(parts, confidence) if parts else None


def _against(ones: Sequence[Comparison], confidence: float = CONFIDENCE) -> Against | None:
    known = [one.truth for one in ones if one.truth is not None]
    if not known:
        return None
    rows = [[getattr(truth, item.name) for item in fields(Rightness)] for truth in known]
    sums = np.asarray(rows, np.float64).sum(axis=0, keepdims=True)
    control, candidate = _f1s(sums)
    return Against(
        len(known),
        float(control[0]),
        float(candidate[0]),
        statistics.bootstrap(rows, lambda drawn: np.subtract(*_f1s(drawn)[::-1]), confidence),
    )


def _f1s(sums: Floats) -> tuple[Floats, Floats]:
    """Control's and candidate's, from sums of `Rightness`'s fields."""
    wanted, *rest = sums.T
    control_right, control_found, candidate_right, candidate_found = rest
    return (
        2 * control_right / np.maximum(control_found + wanted, 1),
        2 * candidate_right / np.maximum(candidate_found + wanted, 1),
    )


def _by_kind(those: Sequence[Comparison]) -> list[tuple[str, list[Comparison]]]:
    """The kinds with most documents first; what is past `_MOST_KINDS` together."""
    grouped: dict[str, list[Comparison]] = defaultdict(list)
    for one in those:
        grouped[one.document_kind or UNNAMED].append(one)
    ordered = sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))
    shown, rest = ordered[:_MOST_KINDS], [one for _, ones in ordered[_MOST_KINDS:] for one in ones]
    return [*shown, (OTHERS, rest)] if rest else shown


def _kinds(those: Sequence[Comparison]) -> tuple[Kind, ...]:
    return tuple(
        Kind(name, len(ones), sum(one.status != OK for one in ones), _agreement(ones), _against(ones))
        for name, ones in _by_kind(those)
    )


def _periods(those: Sequence[Comparison]) -> tuple[Period, ...]:
    """Parts of equal length; none where all was compared within a minute."""
    start_s, length_s = those[0].at_s, (those[-1].at_s - those[0].at_s) / _PERIODS
    if length_s * _PERIODS < 60:
        return ()
    grouped: dict[int, list[Comparison]] = defaultdict(list)
    for one in those:
        grouped[min(_PERIODS - 1, int((one.at_s - start_s) / length_s))].append(one)
    return tuple(
        Period(start_s + number * length_s, len(ones), sum(one.status != OK for one in ones), _agreement(ones))
        for number, ones in sorted(grouped.items())
    )


def _differences(total: Agreement) -> dict[str, int]:
    counts = Counter({meaning: int(getattr(total, name)) for name, meaning in _DIFFERENCES.items()})
    return {meaning: count for meaning, count in counts.most_common() if count}


def _worst(read: Sequence[Comparison]) -> tuple[Worst, ...]:
    worst = []
    for one in read:
        found = one.agreement
        if found is not None:
            words = found.matched - found.same_text + found.only_control + found.only_candidate
            worst.append(Worst(one.id, one.document_kind, words, found.word_agreement))
    return tuple(sorted((one for one in worst if one.words), key=lambda one: (-one.words, one.id))[:_MOST_WORST])


def _slowdown(read: Sequence[Comparison]) -> Slowdown | None:
    spent = [(one.control_spent, one.candidate_spent) for one in read]
    by_cpu = [(mine.cpu_s, theirs.cpu_s) for mine, theirs in spent if mine.cpu_s and theirs.cpu_s]
    pairs = by_cpu if len(by_cpu) == len(spent) else [(mine.seconds, theirs.seconds) for mine, theirs in spent]
    ratios = [theirs / mine for mine, theirs in pairs if mine > 0]
    if not ratios:
        return None
    return Slowdown(statistics.median(ratios), "CPU time" if pairs is by_cpu else "time")


def _cost(read: Sequence[Comparison], spent: Sequence[Spent]) -> Cost:
    seconds = [one.seconds for one in spent]
    known = [
        (one.cpu_s, comparison.pages) for one, comparison in zip(spent, read, strict=True) if one.cpu_s is not None
    ]
    memory = [one.memory_bytes for one in spent if one.memory_bytes is not None]
    pages = sum(pages for _, pages in known)
    return Cost(
        tuple(statistics.quantile(seconds, at) for at in QUANTILES) if seconds else (),
        sum(cpu_s for cpu_s, _ in known) / pages if pages else None,
        int(statistics.quantile(memory, 0.5)) if memory else None,
    )
