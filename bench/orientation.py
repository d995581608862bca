"""How often pages are brought upright, and how often upright ones are turned, beside Tesseract's OSD in the same run.

``python -m bench.orientation [--set DIR] [--limit N] [--made N] [--made-from N] [--made-turned N] [--no-osd] [--tell]``

Real pages are shown in all four turns, made ones upright and some in one other turn. They are of fonts that the net was
never trained with (``engines/scribe/orientation/training/writing.py``; they need the training extra, its fonts and
pools). ``right`` counts pages of ten words at least, ``turned`` the upright pages, of any number of words, that were
turned all the same. ``ms`` is CPU time of one thread in the stage "orient": grey, crops, net and, where they had to be
asked, the detector and the recogniser. OSD is asked in-process by tesserocr; ``osd14`` heeds only answers of confidence
14 and more, as OCRmyPDF does by default. OSD that finds too few letters leaves the page as it is.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from bench.dataset import data_folder
from engines.api import Page
from engines.documents import decode
from engines.scribe.engine import TURN_WEIGHTS, WEIGHTS
from engines.tesseract import TESSDATA
from server.truth import NAME, load

WORDS = 10
"""Pages of fewer words may be left as they are."""
SENT_TURNED = {
    "phototest-rotated-180.png": 180,
    "phototest-rotated-L.png": 270,
    "phototest-rotated-R.png": 90,
    "phototestrot.tif": 270,
    "Ex_COD_IMG_20210329_122300.jpg": 270,
    "Ex_Maths_IMG_20210329_122227.jpg": 270,
}
"""Pages of the sets that lie turned clockwise in their files, seen by eye; no tag tells of it."""
_SURE = 14.0
_LIMITS = decode.Limits(pixels=1 << 28, pages=1)

_READ = 24
"""Windows of a page that are read to tell whether it reads badly, where the engine has read all."""


class Answer(NamedTuple):
    """Degrees clockwise that bring the page upright, how sure the program is by its own measure, CPU time it took."""

    degrees: int
    sure: float
    cpu_s: float


Ask = Callable[[Page], Answer]


@dataclass
class Tally:
    """What one program said of a set's pages."""

    shown: int = 0
    right: int = 0
    upright: int = 0
    turned: int = 0
    ms: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, wanted: int, said: int, words: int, ms: float) -> None:
        if words >= WORDS:
            self.shown += 1
            self.right += said == wanted
            if said != wanted:
                self.wrong.append(f"{name} wanted {wanted}, said {said}")
        if wanted == 0:
            self.upright += 1
            self.turned += said != 0
        self.ms.append(ms)

    def summary(self) -> dict[str, float | int]:
        """Shares and medians."""
        times = sorted(self.ms) or [0.0]
        return {
            "shown": self.shown,
            "right": round(self.right / max(1, self.shown), 4),
            "upright": self.upright,
            "turned": self.turned,
            "ms_median": round(times[len(times) // 2], 1),
            "ms_mean": round(sum(times) / len(times), 1),
            "ms_p95": round(times[int(0.95 * (len(times) - 1))], 1),
        }


def main(  # noqa: PLR0917
    sets: Annotated[list[Path] | None, typer.Option("--set", help="a folder of pages; all known ones if none")] = None,
    limit: Annotated[int | None, typer.Option(help="pages of each set")] = None,
    made: Annotated[int, typer.Option(help="made pages")] = 3000,
    made_from: Annotated[int, typer.Option(help="the first made page, to count them in pieces")] = 0,
    made_turned: Annotated[int, typer.Option(help="made pages that are shown turned too")] = 700,
    osd_made: Annotated[int, typer.Option(help="made pages that OSD is shown too; it is slow")] = 100,
    osd: Annotated[bool, typer.Option("--osd/--no-osd", help="ask OSD too")] = True,
    tell: Annotated[bool, typer.Option("--tell", help="name the pages that were wrong")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Count right answers and upright pages turned."""
    programs: dict[str, Ask] = {"cloister": _cloister()}
    if osd:
        if (peer := _osd()) is None:
            print("no OSD here: pip install 'cloister[tesseract]', and Debian's tesseract-ocr-osd", file=sys.stderr)
        else:
            programs["osd"] = peer
    results: dict[str, dict[str, dict[str, float | int]]] = {}
    for folder in _known_sets() if sets is None else sets:
        tallies = _count(_real(folder, limit), programs, None)
        _show(folder.name, tallies, results, tell=tell, as_json=as_json)
    if made:
        tallies = _count(_made(made_from, made, made_turned), programs, osd_made)
        _show("made", tallies, results, tell=tell, as_json=as_json)
    if as_json:
        json.dump(results, sys.stdout, indent=2)
        print()


def _show(
    name: str,
    tallies: dict[str, Tally],
    results: dict[str, dict[str, dict[str, float | int]]],
    *,
    tell: bool,
    as_json: bool,
) -> None:
    results[name] = {program: tally.summary() for program, tally in tallies.items()}
    if as_json:
        return
    print(f"\n{name}")
    columns = list(next(iter(results[name].values())))
    print(f"{'':12}" + "".join(f"{column:>11}" for column in columns))
    for program, summary in results[name].items():
        print(f"{program:12}" + "".join(f"{summary[column]:>11}" for column in columns), flush=True)
    if tell:
        print("\n".join(f"  {program}: {wrong}" for program, tally in tallies.items() for wrong in tally.wrong))


@dataclass(frozen=True, slots=True)
class Shown:
    """A page as it is shown: ``wanted`` degrees clockwise bring it upright."""

    name: str
    page: Page
    wanted: int
    words: int


def _count(pages: Iterator[Shown], programs: dict[str, Ask], osd_most: int | None) -> dict[str, Tally]:
    tallies = {name: Tally() for name in programs}
    if "osd" in programs:
        tallies["osd14"] = Tally()
    for number, shown in enumerate(pages):
        for name, ask in programs.items():
            if name == "osd" and osd_most is not None and number >= 2 * osd_most:
                continue
            degrees, sure, cpu_s = ask(shown.page)
            tallies[name].add(shown.name, shown.wanted, degrees, shown.words, 1000 * cpu_s)
            if name == "osd":
                sure_ones = degrees if sure >= _SURE else 0
                tallies["osd14"].add(shown.name, shown.wanted, sure_ones, shown.words, 1000 * cpu_s)
    return tallies


def _real(folder: Path, limit: int | None) -> Iterator[Shown]:
    for truth in load(folder, limit):
        page = next(decode.pages(truth.image.read_bytes(), _LIMITS)).page
        came = SENT_TURNED.get(truth.image.name, 0)
        for quarters in range(4):
            wanted = -(came + 90 * quarters) % 360
            yield Shown(truth.image.name, _turned(page, quarters), wanted, len(truth.words))


def _made(first: int, count: int, turned: int) -> Iterator[Shown]:
    """Pages ``first`` and on, ``count`` of them; those below ``turned`` in another turn too."""
    from engines.scribe.orientation.training.data import SEED, maker

    makes = maker(held=True)
    for number in range(first, first + count):
        made = makes.make(np.random.default_rng([SEED, 2, number]))
        page = Page(np.broadcast_to(made.grey[:, :, None], (*made.grey.shape, 3)))
        name = f"{number} {made.layout}, {made.look}"
        for quarters in (0, 1 + number % 3) if number < turned else (0,):
            yield Shown(name, _turned(page, quarters), -90 * quarters % 360, made.words)


def _turned(page: Page, quarters: int) -> Page:
    pixels: NDArray[np.uint8] = page.pixels
    if pixels.strides[2] == 0:
        grey = np.ascontiguousarray(np.rot90(pixels[:, :, 0], -quarters))
        return Page(np.broadcast_to(grey[:, :, None], (*grey.shape, 3)), dpi=page.dpi)
    return Page(np.ascontiguousarray(np.rot90(pixels, -quarters)), dpi=page.dpi)


def _known_sets() -> list[Path]:
    data = data_folder()
    if data is None:
        print("no real pages found: name folders with --set, or set CLOISTER_DATA", file=sys.stderr)
        return []
    return sorted(path.parent for path in (data / "pages").glob(f"*/{NAME}"))


def _cloister() -> Ask:
    import cv2

    cv2.setNumThreads(0)
    from engines.scribe import detector, orientation
    from engines.scribe.grey import greyed
    from engines.scribe.recogniser.reader import Recogniser

    voters = orientation.Voters.load(TURN_WEIGHTS)
    recogniser = Recogniser.load(WEIGHTS)

    def ask(page: Page) -> Answer:
        started = time.process_time()
        page = greyed(page)
        seen = orientation.upright(page, voters, detector.windows, recogniser.read)
        spent_s = time.process_time() - started
        # What comes next is detection and reading, which a page takes anyhow. How it reads, some of it tells.
        windows = seen.windows or detector.windows(seen.page)
        # Those of a page that was judged are not asked for.
        readings = [] if seen.windows else recogniser.read(windows.pixels[:: 1 + len(windows.pixels) // _READ])
        started = time.process_time()
        turn = orientation.reconsidered(page, seen, windows, readings, detector.windows, recogniser.read).turn
        return Answer(turn.degrees, turn.confidence, spent_s + time.process_time() - started)

    return ask


def _osd() -> Ask | None:
    """Tesseract's OSD, loaded once; None where it is not installed."""
    folder = next((path for path in TESSDATA if (Path(path) / "osd.traineddata").exists()), None)
    if folder is None:
        return None
    try:
        import tesserocr
    except ImportError:
        return None
    api = tesserocr.PyTessBaseAPI(path=f"{folder}/", lang="osd", psm=tesserocr.PSM.OSD_ONLY)

    def ask(page: Page) -> Answer:
        grey = np.ascontiguousarray(page.pixels[:, :, 0] if page.pixels.strides[2] == 0 else page.pixels)
        channels = 1 if grey.ndim == 2 else 3
        started = time.process_time()
        api.SetImageBytes(grey.tobytes(), grey.shape[1], grey.shape[0], channels, grey.shape[1] * channels)
        api.SetSourceResolution(round(page.dpi or 300))
        found = api.DetectOrientationScript() or {"orient_deg": 0, "orient_conf": 0.0}
        # It says by how much the page was turned clockwise.
        degrees, sure = -int(found["orient_deg"]) % 360, float(found["orient_conf"])
        return Answer(degrees, sure, time.process_time() - started)

    return ask


if __name__ == "__main__":
    typer.run(main)
