"""A peer behind the simplest gRPC server there is: Cloister's own API, one worker process a core, no jail.

As a program, ``python -m bench.peer_server PEER ADDRESS WORKERS``. The models are loaded once in each worker.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from bench.peers import PEERS, Reader
from cloister.v1 import ocr_pb2, ocr_pb2_grpc
from server.truth import Found

_SERVICE = ocr_pb2.DESCRIPTOR.services_by_name["OcrService"].full_name
_START_S = 120.0
_STOP_S = 30.0
_MESSAGE_BYTES = 64 << 20
_QUEUE = 1000

_reader: Reader | None = None
"""A worker's own."""


class PeerServer:
    """Such a server in a process of its own, for the time of a ``with`` block. Its first answer is awaited."""

    def __init__(self, peer: str, workers: int, first: bytes) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cloister-peer-")
        self.address = f"unix:{self._folder.name}/socket"
        self._command = [sys.executable, "-m", "bench.peer_server", peer, self.address, str(workers)]
        self._first = first
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the server. Raises RuntimeError outside the block."""
        if self._process is None:
            raise RuntimeError("the server is not running: use it in a with block")
        return self._process.pid

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command)
        try:
            with grpc.insecure_channel(self.address, (("grpc.max_send_message_length", -1),)) as channel:
                stub = ocr_pb2_grpc.OcrServiceStub(channel)
                request = ocr_pb2.RecognizeRequest(document=self._first)
                stub.Recognize(request, timeout=_START_S, wait_for_ready=True)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_STOP_S)
        self._folder.cleanup()


def _load(peer: str) -> None:
    global _reader  # noqa: PLW0603  (a worker has one for its life)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _reader = PEERS[peer]()


def _read(document: bytes) -> bytes:
    assert _reader is not None, "a worker loads before it reads"
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(document)
        file.flush()
        return _response(_reader.read(Path(file.name))).SerializeToString()


def _response(words: list[Found]) -> ocr_pb2.RecognizeResponse:
    page = ocr_pb2.Page(number=1)
    line = page.lines.add()
    for word in words:
        corners = [ocr_pb2.Point(x=x, y=y) for x, y in word.quad]
        quad = ocr_pb2.Quad(top_left=corners[0], top_right=corners[1], bottom_right=corners[2], bottom_left=corners[3])
        line.words.append(ocr_pb2.Word(text=word.text, quad=quad))
    page.text = " ".join(word.text for word in words)
    return ocr_pb2.RecognizeResponse(pages=[page], text=page.text)


def _serve(peer: str, address: str, workers: int) -> None:
    # Spawned, not forked: gRPC's threads are about.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_load, initargs=(peer,)) as pool:
        list(pool.map(time.sleep, [0.1] * workers))  # all are there before anyone is answered
        server = grpc.server(ThreadPoolExecutor(_QUEUE), options=(("grpc.max_receive_message_length", _MESSAGE_BYTES),))
        recognize = grpc.unary_unary_rpc_method_handler(
            lambda request, context: pool.submit(_read, request.document).result(),
            request_deserializer=ocr_pb2.RecognizeRequest.FromString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Recognize": recognize}),))
        server.add_insecure_port(address)
        signal.signal(signal.SIGTERM, lambda *_: server.stop(1))
        server.start()
        server.wait_for_termination()


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
