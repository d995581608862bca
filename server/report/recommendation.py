"""Ramp, hold or stop: each demand on a candidate is held against an interval, and the worst of them decides.

A demand is met where the whole interval meets it, and broken where none of it does; in between more documents are
needed. Against the truth the demand is one of non-inferiority: the candidate's F1 may not be worse than the control's
by more than a margin (Piaggio et al., JAMA 308, 2012). Where the truth is not known, readings that differ say nothing
of who is right: then too little agreement is a reason to hold and to look, never one to ramp or to stop.

Intervals are of one look. Who looks each day until it says ramp will see it say so by chance more often than 1 in 40.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from server.report.statistics import Interval


class Verdict(StrEnum):
    RAMP = "ramp"
    HOLD = "hold"
    STOP = "stop"


_LONGEST = 40
_WORSE = {Verdict.RAMP: 0, Verdict.HOLD: 1, Verdict.STOP: 2}


@dataclass(frozen=True, slots=True)
class Demands:
    """What a candidate must be like; see `server.settings.Ramp`."""

    documents: int = 200
    agreement: float = 0.95
    margin: float = 0.01
    failures: float = 0.01
    slowdown: float = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """One demand, what is known of it, and what follows from it alone."""

    name: str
    verdict: Verdict
    ground: str


def overall(checks: Sequence[Check]) -> Verdict:
    return max((check.verdict for check in checks), key=_WORSE.__getitem__)


def enough(documents: int, demands: Demands) -> Check:
    verdict = Verdict.RAMP if documents >= demands.documents else Verdict.HOLD
    return Check("documents", verdict, f"{documents} compared; {demands.documents} are asked for")


def failures(share: Interval, demands: Demands) -> Check:
    ground = f"failed on {_percent(share)} of documents; the budget is {demands.failures:.1%}"
    if share.high <= demands.failures:
        return Check("failures", Verdict.RAMP, ground)
    if share.low > demands.failures:
        return Check("failures", Verdict.STOP, ground)
    return Check("failures", Verdict.HOLD, f"{ground}; too few documents to tell")


def against_truth(difference: Interval, documents: int, demands: Demands) -> Check:
    points = f"{100 * difference.estimate:+.2f} points ({100 * difference.low:+.2f} to {100 * difference.high:+.2f})"
    loss = f"a loss of {100 * demands.margin:g} is allowed"
    ground = f"F1 against the truth of {documents} documents: {points} to the control; {loss}"
    if difference.low > -demands.margin:
        return Check("truth", Verdict.RAMP, ground)
    if difference.high < -demands.margin:
        return Check("truth", Verdict.STOP, ground)
    return Check("truth", Verdict.HOLD, f"{ground}; too few documents to tell")


def agreement(share: Interval, demands: Demands) -> Check:
    ground = f"{_percent(share)} of words read like the control; {demands.agreement:.1%} are asked for"
    if share.low >= demands.agreement:
        return Check("agreement", Verdict.RAMP, ground)
    if share.high < demands.agreement:
        return Check(
            "agreement", Verdict.HOLD, f"{ground}; find out who is right: where the truth is known, it decides"
        )
    return Check("agreement", Verdict.HOLD, f"{ground}; too few documents to tell")


def kinds(worse: Sequence[str], of: int) -> Check:
    """``worse`` are the document kinds that break the demand on truth or agreement, each by itself."""
    if worse:
        names = ", ".join(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in worse)
        return Check("kinds", Verdict.HOLD, f"worse than is asked for on {names}")
    return Check("kinds", Verdict.RAMP, f"none of {of} document kinds is worse than is asked for")


def slowdown(ratio: Interval, of: str, demands: Demands) -> Check:
    """``of``: which time it is, in words."""
    ground = (
        f"takes {ratio.estimate:.2f} ({ratio.low:.2f} to {ratio.high:.2f}) times the control's {of} at the median; "
        f"{demands.slowdown:g} is allowed"
    )
    return Check("time", Verdict.RAMP if ratio.high <= demands.slowdown else Verdict.HOLD, ground)


def _percent(share: Interval) -> str:
    return f"{share.estimate:.2%} ({share.low:.2%} to {share.high:.2%})"
