"""Lines that are selected in pdf.js, in a browser, are copied with their spaces."""

from __future__ import annotations

import functools
import http.server
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from engines.api import Line
from tests.pdf.readers import pdf_js_package
from tests.pdf.specimen import Layout, make

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder, and keeps what the page there answers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        self.answers: queue.Queue[dict[str, object]] = queue.Queue()


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map: ClassVar = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        self.server.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def ends(line: Line, width: int, height: int) -> list[list[float]]:
    """The middles of the line's first and last word, as shares of the page."""
    return [
        [(quad.top_left[0] + quad.bottom_right[0]) / 2 / width, (quad.top_left[1] + quad.bottom_right[1]) / 2 / height]
        for quad in (line.words[0].quad, line.words[-1].quad)
    ]


def copied(folder: Path, pdf: bytes, lines: Sequence[list[list[float]]]) -> list[str]:
    package = pdf_js_package()
    assert package is not None
    assert CHROMIUM is not None
    (folder / "specimen.pdf").write_bytes(pdf)
    (folder / "lines.json").write_text(json.dumps(lines))
    (folder / "pdfjs").symlink_to(package)
    shutil.copy(Path(__file__).with_name("browser.html"), folder / "index.html")
    with Server(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/index.html"
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--window-size=1400,1400",
            f"--user-data-dir={folder / 'profile'}",
        ]
        browser = subprocess.Popen(
            [CHROMIUM, *options, "--remote-debugging-port=0", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            answer = server.answers.get(timeout=90)
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
    assert "copied" in answer, answer
    return [str(text) for text in answer["copied"]]


@pytest.mark.parametrize(
    "layout", [Layout(), Layout(gap=0.08), Layout(gap=5), Layout(letters=True), Layout(turn=90)], ids=str
)
def test_a_line_selected_in_a_browser_is_copied_with_its_spaces(layout: Layout, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("needs the command chromium")
    if pdf_js_package() is None:
        pytest.skip("needs the npm package pdfjs-dist (npm install --prefix build/node pdfjs-dist)")
    specimen = make(layout)
    places = [ends(line, specimen.width, specimen.height) for line in specimen.lines]
    for line, text in zip(specimen.lines, copied(tmp_path, specimen.pdf, places), strict=True):
        assert text.strip() == line.text
