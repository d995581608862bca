"""Cloister as the benchmarks and the demo meet it: a real server in a process of its own, asked through gRPC."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cloister.v1 import ocr_pb2
from server.client import Client
from server.truth import Found, found

_START_S = 300.0
_STOP_S = 60.0


class Cloister:
    """A server for the time of a ``with`` block. ``settings`` are environment variables without ``CLOISTER_``."""

    def __init__(self, engine: str = "", *, log: Path | None = None, cpu: int | None = None, **settings: str) -> None:
        self._engine = engine
        self._cpu = cpu
        self._settings = settings
        self._log = log
        self._folder = tempfile.TemporaryDirectory(prefix="cloister-")
        self.address = f"unix:{self._folder.name}/socket"
        self.client = Client(self.address, deadline_s=300)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the server. Raises RuntimeError outside the block."""
        if self._process is None:
            raise RuntimeError("the server is not running: use it in a with block")
        return self._process.pid

    def __enter__(self) -> Self:
        log = self._log.open("wb") if self._log is not None else subprocess.DEVNULL
        self._process = subprocess.Popen(
            [*self._confined(), sys.executable, "-m", "server.cli", "serve"], env=self._environment(), stderr=log
        )
        try:
            self._await_serving()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def recognize(self, document: bytes) -> ocr_pb2.RecognizeResponse:
        """Read a document. Raises `server.errors.CloisterError`."""
        return self.client.recognize(document, engine=self._engine)

    def read(self, image: Path) -> list[Found]:
        """Read an image file to words and corners."""
        return found(self.recognize(image.read_bytes()).pages)

    def _confined(self) -> list[str]:
        return [] if self._cpu is None else ["taskset", "--cpu-list", str(self._cpu)]

    def _environment(self) -> Mapping[str, str]:
        ours = {"LISTEN__ADDRESS": self.address, **self._settings}
        return {**os.environ, **{f"CLOISTER_{name}": value for name, value in ours.items()}}

    def _await_serving(self) -> None:
        deadline = time.monotonic() + _START_S
        with grpc.insecure_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while time.monotonic() < deadline:
                if self._process is not None and self._process.poll() is not None:
                    raise RuntimeError(f"the server ended with code {self._process.returncode} before it could serve")
                try:
                    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5)
                except grpc.RpcError:
                    answer = health_pb2.HealthCheckResponse()
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
                time.sleep(0.1)
        raise TimeoutError(f"the server did not serve within {_START_S:.0f} s")

    def _stop(self) -> None:
        self.client.close()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_STOP_S)
        self._folder.cleanup()
