"""A report for the terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from server.report.recommendation import Verdict
from server.report.summary import QUANTILES, Against, Cost, Report

_COLOURS = {Verdict.RAMP: "green", Verdict.HOLD: "yellow", Verdict.STOP: "red"}
_WORST = 5


def show(report: Report, console: Console) -> None:
    console.print(Group(*_parts(report)))


def show_verdict(report: Report, console: Console) -> None:
    """The recommendation alone, with its grounds."""
    console.print(Group(*_verdict(report)))


def as_json(report: Report) -> dict[str, Any]:
    """All of it; the rates of `total` beside its counts."""
    return {**asdict(report), "total": report.total.counts()}


def _parts(report: Report) -> Iterator[RenderableType]:
    left_out = f"; {report.left_out} of other versions or rules left out" if report.left_out else ""
    yield Text(f"{report.candidate} {report.candidate_version} against {report.control} {report.control_version}")
    yield Text(f"{report.documents} documents, {report.pages} pages; texts compared: {report.rules}{left_out}\n", "dim")
    yield from _verdict(report)
    yield _kinds(report)
    yield _sides(report)
    if report.differences:
        yield _differences(report)
    if report.worst:
        yield Text("\nwhere they differ most")
        for worst in report.worst[:_WORST]:
            yield Text(
                f"{worst.words:5} words  {worst.agreement:6.1%} alike  {worst.id}  {worst.document_kind}",
                no_wrap=True,
                overflow="ellipsis",
            )


def _verdict(report: Report) -> Iterator[RenderableType]:
    yield Text(report.verdict.upper(), f"bold {_COLOURS[report.verdict]}")
    checks = Table.grid(padding=(0, 2))
    for check in report.checks:
        checks.add_row(Text(check.verdict, _COLOURS[check.verdict]), check.name, Text(check.ground))
    yield checks


def _kinds(report: Report) -> Table:
    table = Table("kind", title="\nwords read alike", title_justify="left")
    for heading in ("documents", "failed", "alike", "95 % interval", "F1 control", "F1 candidate", "difference"):
        table.add_column(heading, justify="right")
    rows = [("all", report.documents, sum(report.failed.values()), report.agreement, report.truth)]
    rows += [(kind.name, kind.documents, kind.failed, kind.agreement, kind.truth) for kind in report.kinds]
    for name, documents, failed, agreed, truth in rows:
        alike = ("", "") if agreed is None else (f"{agreed.estimate:.1%}", f"{agreed.low:.1%} to {agreed.high:.1%}")
        table.add_row(Text(name), str(documents), str(failed), *alike, *_truth(truth))
    return table


def _truth(truth: Against | None) -> tuple[str, str, str]:
    if truth is None:
        return "", "", ""
    difference = truth.difference
    low, high = 100 * difference.low, 100 * difference.high
    return (
        f"{truth.control:.3f}",
        f"{truth.candidate:.3f}",
        f"{100 * difference.estimate:+.2f} ({low:+.2f} to {high:+.2f})",
    )


def _sides(report: Report) -> Table:
    table = Table("", title="\ntime and cost", title_justify="left")
    sides = ((report.control, report.control_cost), (report.candidate, report.candidate_cost))
    columns = []
    for name, cost in sides:
        table.add_column(Text(name), justify="right")
        columns.append(_costs(cost))
    for row in columns[0]:
        table.add_row(row, *(column[row] for column in columns))
    confidence = [
        f"{total / max(1, words):.2f}"
        for total, words in (
            (report.total.control_confidence_sum, report.total.control_words),
            (report.total.candidate_confidence_sum, report.total.candidate_words),
        )
    ]
    table.add_row("mean confidence of a word", *confidence)
    return table


def _costs(cost: Cost) -> dict[str, str]:
    seconds = cost.seconds or (0.0,) * len(QUANTILES)
    rows = {f"seconds, p{100 * at:g}": f"{value:.3f}" for at, value in zip(QUANTILES, seconds, strict=True)}
    rows["CPU seconds a page"] = "" if cost.cpu_s_a_page is None else f"{cost.cpu_s_a_page:.2f}"
    rows["memory of a cell, MiB"] = "" if cost.memory_bytes is None else f"{cost.memory_bytes / 2**20:.0f}"
    return rows


def _differences(report: Report) -> Table:
    table = Table("what differs", title="\ndifferences", title_justify="left")
    table.add_column("words", justify="right")
    table.add_column("of 1,000", justify="right")
    for meaning, count in report.differences.items():
        table.add_row(meaning, str(count), f"{1000 * count / max(1, report.total.control_words):.1f}")
    rates = f"WER {report.total.word_error_rate:.2%}, CER {report.total.character_error_rate:.2%}"
    table.caption = f"{rates}, overlap of boxes {report.total.mean_overlap:.2f}"
    return table
