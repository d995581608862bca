"""``make demo``: a jailed server reads three documents through gRPC; text on the screen, results in out/."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from google.protobuf import json_format
from rich.console import Console
from rich.panel import Panel

from bench.embedded import Cloister
from cloister.v1 import ocr_pb2
from engines.documents import boxes

PAGES = Path(__file__).parent / "pages"
OUT = Path("out") / "demo"


def main() -> int:
    """Run the demo. Returns the exit code."""
    console = Console(highlight=False)
    OUT.mkdir(parents=True, exist_ok=True)
    console.print("[bold]Starting a server[/]: the zygote loads the models once, then forks jailed cells")
    started = time.perf_counter()
    with Cloister(log=OUT / "server.log") as server:
        console.print(f"serving after {time.perf_counter() - started:.1f} s at {server.address}")
        for number, path in enumerate(sorted(PAGES.iterdir())):
            document = path.read_bytes()
            response = server.recognize(document)
            if number == 0:
                console.print(f"layers around every cell: {', '.join(response.provenance.jail_layers)}")
                if off := response.provenance.jail_layers_off:
                    console.print(f"[yellow]layers this host lacks: {', '.join(off)}")
            _show(console, path, response)
            _write(path, document, response)
    console.print(f"text, JSON, pictures with word boxes and the server's log are in [bold]{OUT}[/]")
    return 0


def _show(console: Console, path: Path, response: ocr_pb2.RecognizeResponse) -> None:
    timings = response.timings
    seconds = timings.total.ToTimedelta().total_seconds()
    words = sum(len(line.words) for page in response.pages for line in page.lines)
    where = f"{path.name}: {len(response.pages)} page(s), {words} words, {seconds * 1000:.0f} ms"
    text = response.text.replace("\f", "\n" + "-" * 20 + "\n")
    console.print(Panel(text, title=where, expand=False), markup=False)


def _write(path: Path, document: bytes, response: ocr_pb2.RecognizeResponse) -> None:
    (OUT / f"{path.stem}.txt").write_text(response.text + "\n", encoding="utf-8")
    (OUT / f"{path.stem}.json").write_text(json_format.MessageToJson(response, indent=1), encoding="utf-8")
    (OUT / f"{path.stem}.boxes.png").write_bytes(boxes.draw(document, response.pages))


if __name__ == "__main__":
    sys.exit(main())
