"""The ways to run the Word Deep Net on one core that were weighed against each other: time a window, and what is read.

    python -m bench.inference [--data DIR] [--limit N] [--rounds N]

`float32` and `bfloat16` are the large net's graph that cells run, by TensorFlow and its oneDNN. `litert` and
`litert-int8` do the convolutions, four fifths of the multiply-adds, in LiteRT with XNNPACK instead, the latter with
weights and activations quantised by what some of these windows show; the LSTM, which XNNPACK has not, stays with
TensorFlow. They take turns, in batches of 16; ``ms`` is CPU time of a window of 256 columns, the least of the rounds.
``words``: share of the words on receipts' lines that are read exactly, as in `bench.words`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.words import read_lines, score
from engines.scribe import session
from engines.scribe.batchnorm import Weights
from engines.scribe.recogniser import card, ctc, port, reader
from engines.scribe.recogniser.decode import decoded
from engines.scribe.recogniser.precision import Precision
from engines.scribe.training.lab.crops import cut, pad, page_samples
from engines.scribe.windows import HEIGHT, WIDTH, Reading

_BATCH = 16
_SHOWN = 12
"""Batches that quantisation looks at."""
Windows = NDArray[np.uint8]
Run = Callable[[Windows], NDArray[np.float32]]


class Whole:
    """Reads windows (n, HEIGHT, WIDTH) in their full width, ``_BATCH`` at a time."""

    def __init__(self, run: Run, temperature: float) -> None:
        self.run = run
        self._temperature = temperature
        self._language = ctc.language()

    def read(self, pixels: Windows) -> list[Reading]:
        readings: list[Reading] = []
        for part in _batches(pixels):
            readings += decoded(self.run(part), port.COLUMNS, self._temperature, self._language)
        return readings[: len(pixels)]


def litert(weights: Weights, shown: Windows, *, quantised: bool) -> Run:
    """The convolutions in LiteRT, the rest in TensorFlow."""
    import tensorflow as tf

    shape = tf.TensorSpec((_BATCH, HEIGHT, WIDTH, 1), tf.float32)
    function = tf.function(lambda ink: port.convolved(weights, ink)).get_concrete_function(shape)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if quantised:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([_ink(part)] for part in _batches(shown))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    interpreter = tf.lite.Interpreter(model_content=converter.convert(), num_threads=1)
    interpreter.allocate_tensors()
    given, wanted = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    with tf.Graph().as_default() as graph:
        features = tf.compat.v1.placeholder(tf.float32, (None, 1, None, port.LARGE.features), name="features")
        port.read(weights, features, tf.float32)
    rest = session.callable_graph(graph.as_graph_def(), "features", "logits")

    def run(pixels: Windows) -> NDArray[np.float32]:
        interpreter.set_tensor(given, _ink(pixels))
        interpreter.invoke()
        logits: NDArray[np.float32] = rest(interpreter.get_tensor(wanted))
        return logits

    return run


def _ink(pixels: Windows) -> NDArray[np.float32]:
    """As the graph that cells run does it."""
    grey = pixels.astype(np.float32)
    low, high = grey.min((1, 2), keepdims=True), grey.max((1, 2), keepdims=True)
    return np.asarray((high - grey) / np.maximum(high - low, port.LEAST_RANGE), np.float32)[..., None]


def _batches(pixels: Windows) -> Iterator[Windows]:
    """The last one is filled up with its first window."""
    for start in range(0, len(pixels), _BATCH):
        part = pixels[start : start + _BATCH]
        yield np.concatenate([part, np.repeat(part[:1], _BATCH - len(part), 0)])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLOISTER_DATA", "../shared/data")))
    parser.add_argument("--limit", type=int, default=1000, help="pages at most")
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    cv2.setNumThreads(0)
    samples = list(page_samples(given.data / "pages" / "sroie", given.limit))
    windows = np.stack([pad(sample.strip[:, a:b]) for sample in samples for a, b in cut(sample.strip)])
    folder = Path("engines/scribe/weights")
    weights, about = card.weights(folder), card.card_of(folder)
    shown = windows[:: max(1, len(windows) // (_SHOWN * _BATCH))][: _SHOWN * _BATCH]
    runs: dict[str, Run] = {precision.value: reader.callable_graph(weights, precision) for precision in Precision}
    runs["litert"] = litert(weights, shown, quantised=False)
    runs["litert-int8"] = litert(weights, shown, quantised=True)
    batch = windows[:_BATCH]
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(given.rounds):
        for name, run in runs.items():
            start = time.process_time()
            run(batch)
            least[name] = min(least[name], time.process_time() - start)
    print(f"{'':12} {'ms':>6} {'words':>7}")
    for name, run in runs.items():
        read, _ = read_lines(Whole(run, about.temperature), samples)
        print(f"{name:12} {least[name] / _BATCH * 1e3:6.2f} {score(samples, read, 0).words:7.4f}", flush=True)


if __name__ == "__main__":
    main()
