"""PyTorch's weights rebuilt as a frozen TensorFlow graph; BatchNorm is folded into the convolutions.

The graph takes `crops` uint8 (n, SIDE, SIDE) and gives `turns` float32 (n, 4): logits of how many quarters clockwise
each crop is turned. It has no control flow, so that it runs in a forked cell (see `engines.scribe.recogniser.reader`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.scribe.batchnorm import Weights, folded
from engines.scribe.orientation.crops import SIDE

if TYPE_CHECKING:
    import tensorflow as tf

CONVOLUTIONS = (
    # channels, kernel, stride; each padded by half its kernel, with BatchNorm and ReLU. 64 x 64 in, 8 x 8 out
    (24, 5, 2),
    (32, 3, 2),
    (48, 3, 1),
    (72, 3, 2),
    (112, 3, 1),
    (128, 3, 1),
)
TURNS = 4
LEAST_DEVIATION = 6.0
"""Grey levels of deviation that a crop is stretched from at least: below, it is nearly empty."""


def graph(weights: Weights) -> tf.compat.v1.GraphDef:
    """The net as a frozen graph; ``weights`` are `TurnNet.state_dict()` as arrays, under PyTorch's names and
    layouts."""
    import tensorflow as tf

    with tf.Graph().as_default() as made:
        crops = tf.compat.v1.placeholder(tf.uint8, (None, SIDE, SIDE), name="crops")
        grey = tf.expand_dims(tf.cast(crops, tf.float32), 3)
        mean = tf.reduce_mean(grey, (1, 2), keepdims=True)
        deviation = tf.sqrt(tf.reduce_mean(tf.square(grey - mean), (1, 2), keepdims=True))
        x = (grey - mean) / tf.maximum(deviation, LEAST_DEVIATION)
        for i, (_, kernel, stride) in enumerate(CONVOLUTIONS):
            pads = [[0, 0], [kernel // 2] * 2, [kernel // 2] * 2, [0, 0]]
            filters, bias = folded(weights, i)
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, filters, stride, pads), bias))
        features = tf.reduce_mean(x, (1, 2))
        tf.nn.bias_add(tf.matmul(features, weights["head.weight"].T), weights["head.bias"], name="turns")
    return made.as_graph_def()
