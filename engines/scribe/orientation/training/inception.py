"""The same task for Inception-ResNet-v2, for those who have its ImageNet weights:

    python -m engines.scribe.orientation.training.inception RUN [--weights imagenet] [--steps N]

55 million parameters, some hundred times the work of `net.TurnNet` on each crop: to see what a large net would reach,
not to serve. Learns from the crops that `data` makes, and writes runs/orientation-RUN/inception.keras.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.scribe.orientation.crops import SIDE
from engines.scribe.orientation.port import TURNS
from engines.scribe.orientation.training.data import FOLDER
from engines.scribe.training.settings import RUNS

WIDE = 150
"""Crops are enlarged to so many px: the net halves them five times, and takes none below 75."""


def build(weights: str | None) -> Any:
    """A Keras model from crops uint8 (n, SIDE, SIDE) to logits (n, 4). ``weights``: "imagenet", a file, or None."""
    import keras

    crops = keras.Input((SIDE, SIDE), dtype="uint8")
    grey = keras.layers.Rescaling(1 / 127.5, -1.0)(keras.layers.Reshape((SIDE, SIDE, 1))(crops))
    wide = keras.layers.Resizing(WIDE, WIDE)(keras.layers.Concatenate()([grey, grey, grey]))
    base = keras.applications.InceptionResNetV2(
        include_top=False, weights=weights, input_shape=(WIDE, WIDE, 3), pooling="avg"
    )
    return keras.Model(crops, keras.layers.Dense(TURNS)(base(wide)))


def batches(rng: np.random.Generator, size: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Crops of all shards, each turned at random, and by how many quarters clockwise."""
    shards = [np.load(path.with_suffix(".npy"), mmap_mode="r") for path in sorted(FOLDER.glob("[0-9]*.json"))]
    while True:
        shard = shards[int(rng.integers(len(shards)))]
        crops = shard[np.sort(rng.choice(len(shard), size, replace=False))]
        quarters = rng.integers(0, TURNS, size)
        turned = [np.rot90(crop, -int(quarter)) for crop, quarter in zip(crops, quarters, strict=True)]
        yield np.stack(turned), quarters


def main() -> None:
    """The command line."""
    import keras

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    model = build(None if given.weights == "none" else given.weights)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-4), loss, metrics=["accuracy"])
    model.fit(batches(np.random.default_rng(0), given.batch), steps_per_epoch=given.steps, epochs=1)
    folder = RUNS / f"orientation-{given.run}"
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "inception.keras")


if __name__ == "__main__":
    main()
