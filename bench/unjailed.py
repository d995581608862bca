"""The job in a warm process without a jail or a fork: what a request through Cloister is compared with.

As a program, ``python -m bench.unjailed ENGINE`` answers each path on its standard input with a line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cloister.cell.v1 import cell_pb2
from engines.job import OcrJob
from jail.environment import zygote_environment

_MAX_PIXELS = 200_000_000
_MAX_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall time and of CPU."""

    wall_s: float
    cpu_s: float


class Unjailed:
    """The worker, for the time of a ``with`` block. It starts in the same environment as a zygote.

    ``wrapper`` is a command that is to start it.
    """

    def __init__(self, engine: str, wrapper: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "bench.unjailed", engine],
            env=zygote_environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, document: Path) -> Cost:
        """Read a document."""
        assert self._process.stdin is not None, "it was opened as a pipe"
        self._process.stdin.write(f"{document}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Cost:
        assert self._process.stdout is not None, "it was opened as a pipe"
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the unjailed worker ended with code {self._process.wait()}")
        return Cost(**json.loads(line))


def _work(engine: str) -> None:
    job = OcrJob(engine)
    job.load()
    header = cell_pb2.Task(max_pixels=_MAX_PIXELS, max_pages=_MAX_PAGES).SerializeToString()
    print(json.dumps({"wall_s": 0, "cpu_s": 0}), flush=True)
    for line in sys.stdin:
        body = memoryview(Path(line.strip()).read_bytes())
        wall, cpu = time.perf_counter(), time.process_time()
        job.run(header, body, lambda payload: None)
        cost = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        print(json.dumps(cost), flush=True)


if __name__ == "__main__":
    _work(sys.argv[1])
