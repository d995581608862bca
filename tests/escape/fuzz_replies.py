"""Coverage-guided fuzzing of what the server makes of a cell's bytes: ``python -m tests.escape.fuzz_replies``.

Takes libFuzzer's options, as ``-max_total_time=600``. Ends with a traceback at the first error that is none of ours.
"""

from __future__ import annotations

import sys

import atheris

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from server.errors import CloisterError

# The loader of an editable installation keeps atheris from seeing which ways are taken: it would fuzz blindly. Without
# it modules come from PYTHONPATH.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]

with atheris.instrument_imports(include=["jail.wire", "server.replies"]):
    from jail import wire
    from server import replies

_MOST = 1 << 20
_TASK = cell_pb2.Task(
    outputs=[ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT, ocr_pb2.OUTPUT_PDF], max_pixels=1_000_000, max_pages=9
)
_READY = wire.head(wire.Kind.READY, 2) + b"{}"


def one(data: bytes) -> None:
    """As frames first, in pieces; and as one message."""
    parser, checker = wire.ReplyParser(_MOST), replies.ReplyChecker(_TASK)
    middle = len(data) // 2
    try:
        for piece in (_READY, data[:middle], data[middle:]):
            for frame in parser.feed(piece):
                if frame.kind is wire.Kind.PAYLOAD:
                    checker.take(frame.content)
        checker.finish()
    except (wire.MalformedFrameError, CloisterError):
        pass
    try:
        replies.ReplyChecker(_TASK).take(data)
    except CloisterError:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
