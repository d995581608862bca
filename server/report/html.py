"""A report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from server.report import plots
from server.report.plots import Row
from server.report.recommendation import Verdict
from server.report.statistics import Interval
from server.report.summary import QUANTILES, Against, Report

_MARKS = {Verdict.RAMP: "✓", Verdict.HOLD: "…", Verdict.STOP: "✗"}
_MEANINGS = {
    Verdict.RAMP: "every demand is met: give it more of the traffic",
    Verdict.HOLD: "not every demand is known to be met: leave its share as it is",
    Verdict.STOP: "a demand is broken: take it back",
}
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1f2933; background: #f4f5f7; margin: 0; }
main { max-width: 960px; margin: 0 auto; padding: 24px 16px 60px; }
h1 { font-size: 22px; margin: 0 0 4px; } h1 code { font-size: 20px; } h2 { font-size: 16px; margin: 0 0 10px; }
section, .verdict { background: #fff; border: 1px solid #dfe3e8; border-radius: 8px; }
section, .verdict { padding: 16px 20px; margin: 14px 0; }
.faint, .key { color: #66717e; font-size: 13px; margin: 2px 0 10px; }
.verdict { border-left: 10px solid; } .verdict strong { font-size: 30px; letter-spacing: .03em; }
.ramp { border-left-color: #1d7a46; } .ramp strong, .m-ramp { color: #1d7a46; }
.hold { border-left-color: #b7791f; } .hold strong, .m-hold { color: #9a6412; }
.stop { border-left-color: #b3261e; } .stop strong, .m-stop { color: #b3261e; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: 4px 10px 4px 0; vertical-align: top; overflow-wrap: anywhere; }
th { overflow-wrap: normal; } .mark + td, .mark + td + td { white-space: nowrap; }
td.n, th.n { text-align: right; } td.n { white-space: nowrap; }
th { font-weight: 600; font-size: 13px; color: #66717e; }
code { overflow-wrap: anywhere; } tr + tr td { border-top: 1px solid #eef0f3; } .mark { font-weight: 700; width: 20px; }
svg { width: 100%; height: auto; display: block; font-size: 12.5px; }
code { font-size: 13px; }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin: 0 5px 0 12px; }
"""


def page(reports: Sequence[Report]) -> str:
    """The file's text: all of ``reports``, one below the other."""
    title = "; ".join(f"{report.candidate} against {report.control}" for report in reports)
    body = "\n".join(part for report in reports for part in _parts(report))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def _parts(report: Report) -> Iterator[str]:
    yield _head(report)
    yield _verdict(report)
    yield _section("Words read alike, by document kind", _agreement(report), "F1 of words with the same place and text")
    if report.truth is not None:
        yield _section(
            "Who is right, by document kind",
            _truth(report, report.truth),
            f"F1 against the truth of {report.truth.documents} documents: the candidate's minus the control's",
        )
    yield _section(
        "What differs", _differences(report), "words, for every 1,000 of the control's; their text is not recorded"
    )
    yield _section("Time and cost", _costs(report), _key(report))
    yield _section("Error budget", _budget(report), "documents that the control read and the candidate did not")
    if len(report.periods) > 1:
        yield _section("Words read alike, over time", _course(report), "line: estimate; band: interval; dashes: goal")
    if report.worst:
        yield _section("Where they differ most", _worst(report), "by words; cloister shadow diff ID draws those kept")


def _head(report: Report) -> str:
    control, candidate = (
        f"<code>{escape(name)}</code> {escape(version)}"
        for name, version in (
            (report.control, report.control_version),
            (report.candidate, report.candidate_version),
        )
    )
    left_out = f", {report.left_out} of other versions or rules left out" if report.left_out else ""
    return (
        f"<h1>{candidate} against {control}</h1>\n"
        f'<p class="faint">{report.documents} documents, {report.pages} pages, {_when(report.since_s)} to '
        f"{_when(report.until_s)} UTC{left_out}. Texts compared: {escape(report.rules)}. "
        f"Intervals hold with {report.confidence:.0%} confidence, from differences between documents.</p>"
    )


def _verdict(report: Report) -> str:
    rows = "\n".join(
        f'<tr><td class="mark m-{check.verdict}">{_MARKS[check.verdict]}</td><td>{check.verdict}</td>'
        f"<td>{escape(check.name)}</td><td>{escape(check.ground)}</td></tr>"
        for check in report.checks
    )
    return (
        f'<div class="verdict {report.verdict}"><strong>{report.verdict.upper()}</strong> '
        f"&nbsp;{_MEANINGS[report.verdict]}\n<table>{rows}</table></div>"
    )


def _section(title: str, content: str, note: str) -> str:
    return f'<section><h2>{escape(title)}</h2><p class="key">{note}</p>{content}</section>'


def _key(report: Report) -> str:
    return "".join(
        f'<span class="dot" style="background:{colour}"></span>{escape(name)}'
        for name, colour in ((report.control, plots.CONTROL), (report.candidate, plots.CANDIDATE))
    )


def _agreement(report: Report) -> str:
    if report.agreement is None:
        return "<p>No document was read by both.</p>"
    rows = [Row("all", report.agreement, _documents(report.agreement, report.documents), "#1f2933")]
    rows += [
        Row(kind.name, kind.agreement, _documents(kind.agreement, kind.documents))
        for kind in report.kinds
        if kind.agreement is not None
    ]
    goal = report.demands.agreement
    return plots.intervals(rows, _percent, goal=goal, goal_label=f"goal {goal:.0%}", title="agreement by document kind")


def _documents(value: Interval, documents: int) -> str:
    return f"{value.estimate:.1%}, {documents} documents"


def _truth(report: Report, truth: Against) -> str:
    named = [("all", truth), *((kind.name, kind.truth) for kind in report.kinds if kind.truth is not None)]
    rows = [
        Row(
            f"{name} ({against.documents})",
            against.difference,
            f"{against.control:.3f} → {against.candidate:.3f}",
            "#1f2933" if name == "all" else plots.CANDIDATE,
        )
        for name, against in named
    ]
    margin = report.demands.margin
    return plots.intervals(
        rows, _points, goal=-margin, goal_label=f"margin -{100 * margin:g}", title="difference of F1 by document kind"
    )


def _differences(report: Report) -> str:
    if not report.differences:
        return "<p>Nothing differs.</p>"
    words = max(1, report.total.control_words)
    rows = [
        Row(meaning, _exact(1000 * count / words), f"{count} words") for meaning, count in report.differences.items()
    ]
    return plots.bars(rows, lambda value: f"{value:g}", title="words that differ, of a thousand")


def _costs(report: Report) -> str:
    sides = (
        (report.control, report.control_cost, plots.CONTROL),
        (report.candidate, report.candidate_cost, plots.CANDIDATE),
    )
    rows = [
        Row(f"p{100 * at:g} {name}", _exact(cost.seconds[i]), _seconds(cost.seconds[i]), colour)
        for i, at in enumerate(QUANTILES)
        for name, cost, colour in sides
        if cost.seconds
    ]
    times = plots.bars(rows, _seconds, title="seconds a document") if rows else "<p>Nothing was read by both.</p>"
    cells = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{_known(cost.cpu_s_a_page, "{:.2f} s")}</td>'
        f'<td class="n">{_known(cost.memory_bytes and cost.memory_bytes / 2**20, "{:.0f} MiB")}</td></tr>'
        for name, cost, _ in sides
    )
    note = "Time until the answer: a document's pages may go to several cells of the control, to one of the candidate."
    return (
        f'{times}<p class="key">{note}</p><table><tr><th>cells, set-up included</th>'
        f'<th class="n">CPU a page</th><th class="n">memory</th></tr>{cells}</table>'
    )


def _budget(report: Report) -> str:
    budget = report.demands.failures
    failed = sum(report.failed.values())
    note = f"{failed} of {report.documents} ({report.failures.estimate:.2%})"
    rows = [Row("failed, with interval", report.failures, note, "#8a94a0")]
    of = max(1, report.documents)
    rows += [Row(reason, _exact(count / of), f"{count}") for reason, count in report.failed.items()]
    return plots.bars(rows, _percent, title="the error budget", goal=budget, goal_label=f"budget {budget:.2%}")


def _course(report: Report) -> str:
    points = [(period.start_s, period.agreement) for period in report.periods if period.agreement is not None]
    if len(points) < 2:
        return "<p>Too little was read.</p>"
    goal = report.demands.agreement
    return plots.course(points, _percent, _when, goal=goal, title="agreement over time")


def _worst(report: Report) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(worst.id)}</code></td><td>{escape(worst.document_kind)}</td>"
        f'<td class="n">{worst.words}</td><td class="n">{worst.agreement:.1%}</td></tr>'
        for worst in report.worst
    )
    return (
        '<table><tr><th>document</th><th>kind</th><th class="n">words that differ</th><th class="n">alike</th></tr>'
        f"{rows}</table>"
    )


def _exact(value: float) -> Interval:
    return Interval(value, value, value)


def _known(value: float | None, form: str) -> str:
    return "not known" if value is None else form.format(value)


def _percent(value: float) -> str:
    return f"{100 * value:.4g} %"


def _points(value: float) -> str:
    return f"{100 * value:+.3g}" if value else "0"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def _when(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M}"
