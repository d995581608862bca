"""Puts text into the same scanned PDFs with Cloister and with OCRmyPDF over Tesseract, and compares what comes of it.

``python -m bench.pdf [--set DIR] [--limit N] [--pages N] [--json]``

Pages of a set become PDFs of ``--pages`` pages around the images as they are. Each PDF goes through one program after
the other: Cloister through gRPC and one cell of a warm server, OCRmyPDF as a process with one job and one thread, whose
start is thus shared by the pages of a PDF; and again both with as many cells and jobs as there are CPUs. ``speedup`` is
to the same program on one. Words are those that Poppler's ``pdftotext`` gets out of the result.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from bench.dataset import data_folder
from bench.embedded import Cloister
from bench.scoring import Score
from cloister.v1 import ocr_pb2
from engines.documents import decode
from engines.documents.pdf.images import ImagePdf
from server.truth import Found, Truth, load

_SETS = ("sroie", "unlv_isri")
_LIMITS = decode.Limits(pixels=1 << 28, pages=100)
_NOWHERE = ((0.0, 0.0),) * 4


@dataclass
class Outcome:
    """What one program made of a set: words against truth, ``seconds`` a page, ``added`` bytes a page."""

    score: Score = field(default_factory=Score)
    seconds: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)

    def summary(self, on_one: Outcome) -> dict[str, float | int | None]:
        """Means and medians a page, F1 of the words; how much sooner it was than the same program ``on_one`` CPU."""
        summary = self.score.summary()
        return {
            "pages": self.score.pages,
            "seconds_a_page": round(median(self.seconds), 3),
            "speedup": round(sum(on_one.seconds) / sum(self.seconds), 2),
            "bytes_added_a_page": round(sum(self.added) / len(self.added)),
            "f1": summary["f1"],
            "f1_nocase": summary["f1_nocase"],
        }


def main(
    sets: Annotated[list[Path] | None, typer.Option("--set", help="a folder of pages")] = None,
    limit: Annotated[int | None, typer.Option(help="pages of each set")] = None,
    pages: Annotated[int, typer.Option(help="pages of each PDF")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Compare Cloister and OCRmyPDF."""
    cpus = len(os.sched_getaffinity(0))
    for program, package in (("ocrmypdf", "ocrmypdf, from PyPI"), ("tesseract", ""), ("pdftotext", "poppler-utils")):
        if shutil.which(program, path=_path()) is None:
            raise typer.BadParameter(f"{program} is not installed ({package or program}); run make bench-setup")
    results: dict[str, dict[str, dict[str, float | int | None]]] = {}
    with Cloister(CELLS__PER_DOCUMENT="1") as single, Cloister(CELLS__PER_DOCUMENT=str(cpus)) as several:
        programs: dict[str, Callable[[bytes], bytes]] = {
            "cloister": lambda body: _cloister(single, body),
            "ocrmypdf": lambda body: _ocrmypdf(body, 1),
            f"cloister, {cpus} cells": lambda body: _cloister(several, body),
            f"ocrmypdf, {cpus} jobs": lambda body: _ocrmypdf(body, cpus),
        }
        for folder in sets or _known_sets():
            outcomes = {name: Outcome() for name in programs}
            for body, truths in _documents(load(folder, limit), pages):
                for name, run in programs.items():
                    _measure(outcomes[name], run, body, truths)
            results[folder.name] = {
                name: outcome.summary(outcomes[name.partition(",")[0]]) for name, outcome in outcomes.items()
            }
            if not as_json:
                print("\n".join(_table(folder.name, results[folder.name])), flush=True)
    if as_json:
        json.dump(results, sys.stdout, indent=2)
        print()


def _known_sets() -> list[Path]:
    data = data_folder()
    if data is None:
        raise typer.BadParameter("no data found: name folders with --set, or set CLOISTER_DATA")
    return [data / "pages" / name for name in _SETS]


def _documents(truths: Sequence[Truth], pages: int) -> Iterator[tuple[bytes, Sequence[Truth]]]:
    import pikepdf

    for start in range(0, len(truths), pages):
        some = truths[start : start + pages]
        with pikepdf.new() as whole:
            for truth in some:
                image = truth.image.read_bytes()
                made = ImagePdf(image)
                for decoded in decode.pages(image, _LIMITS):
                    made.add(decoded)
                    break
                with tempfile.TemporaryFile() as file:
                    file.write(made.finish([]))
                    with pikepdf.open(file) as one:
                        whole.pages.extend(one.pages)
            with tempfile.TemporaryFile() as file:
                whole.save(file)
                file.seek(0)
                yield file.read(), some


def _measure(outcome: Outcome, run: Callable[[bytes], bytes], body: bytes, truths: Sequence[Truth]) -> None:
    started = time.perf_counter()
    made = run(body)
    seconds = (time.perf_counter() - started) / len(truths)
    for number, truth in enumerate(truths, 1):
        outcome.score.add(truth, [Found(word, _NOWHERE) for word in _words(made, number)], seconds)
        outcome.seconds.append(seconds)
        outcome.added.append((len(made) - len(body)) / len(truths))


def _cloister(server: Cloister, body: bytes) -> bytes:
    response = server.client.recognize(body, outputs=[ocr_pb2.OUTPUT_PDF])
    return response.files[0].content


def _ocrmypdf(body: bytes, jobs: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.pdf"), Path(folder, "out.pdf")
        source.write_bytes(body)
        command = ["ocrmypdf", "--quiet", "--jobs", str(jobs), "--output-type", "pdf", "--optimize", "0"]
        subprocess.run(
            [*command, str(source), str(target)],
            env={**os.environ, "PATH": _path(), "OMP_THREAD_LIMIT": "1"},
            check=True,
        )
        return target.read_bytes()


def _path() -> str:
    """With the programs of this environment."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))


def _words(body: bytes, page: int) -> list[str]:
    command = ["pdftotext", "-f", str(page), "-l", str(page), "-", "-"]
    return subprocess.run(command, input=body, capture_output=True, check=True).stdout.decode().split()


def _table(name: str, rows: dict[str, dict[str, float | int | None]]) -> Iterator[str]:
    columns = list(next(iter(rows.values())))
    yield f"\n{name}"
    yield f"{'':20}" + "".join(f"{column:>20}" for column in columns)
    for program, summary in rows.items():
        yield f"{program:20}" + "".join(f"{summary[column]!s:>20}" for column in columns)


if __name__ == "__main__":
    typer.run(main)
