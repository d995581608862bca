"""PyTorch's weights rebuilt as a frozen TensorFlow graph; BatchNorm is folded into the convolutions.

The graph takes `pixels` uint8 (n, 32, w) and gives `logits` float32 (n, w / 4, CLASSES), w a multiple of 4. It has no
control flow: the LSTM runs as `BlockLSTMV2`, one operation for the whole sequence, which the single-threaded executor
accepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.scribe.batchnorm import Weights, folded
from engines.scribe.recogniser.precision import Precision

if TYPE_CHECKING:
    import tensorflow as tf

Convolution = tuple[int, tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a net is made of.

    ``convolutions``, each with BatchNorm and ReLU: channels, kernel, stride, padding; 32 x w in, 1 x w / 4 out.
    ``residual``: the convolutions that add what they are given to what they give, before ReLU (He et al. 2016).
    ``hidden``: states of each direction of the LSTM that reads them. ``second``: those of another that reads the
    first's states, 0 where there is none; the head sees both.
    """

    convolutions: tuple[Convolution, ...]
    hidden: int
    second: int
    residual: tuple[int, ...] = ()

    @property
    def features(self) -> int:
        """Channels of the last convolution."""
        return self.convolutions[-1][0]

    @property
    def states(self) -> int:
        """What the head sees of each step."""
        return 2 * (self.hidden + self.second)


LARGE = Layout(
    (
        (24, (5, 5), (2, 2), (2, 2)),
        (32, (3, 3), (1, 1), (1, 1)),
        (64, (3, 3), (2, 2), (1, 1)),
        (64, (3, 3), (1, 1), (1, 1)),
        (96, (3, 3), (2, 1), (1, 1)),
        (96, (3, 3), (1, 1), (1, 1)),
        (160, (4, 3), (1, 1), (0, 1)),
    ),
    hidden=112,
    second=112,
    residual=(5,),
)
"""The Word Deep Net: 132 million multiply-adds for 256 columns."""
SMALL = Layout(
    (
        (16, (5, 5), (2, 2), (2, 2)),
        (32, (3, 3), (2, 2), (1, 1)),
        (40, (3, 3), (1, 1), (1, 1)),
        (64, (3, 3), (2, 1), (1, 1)),
        (96, (4, 3), (1, 1), (0, 1)),
    ),
    hidden=64,
    second=0,
)
"""The net that looks first: 26 million multiply-adds."""
COLUMNS = 4
"""Window columns for each step of the output, px."""
LEAST_RANGE = 24.0
"""Grey levels between a window's darkest and lightest pixel that are stretched at most: below, a window is nearly
empty."""


def graph(weights: Weights, precision: Precision = Precision.FLOAT32, layout: Layout = LARGE) -> tf.compat.v1.GraphDef:
    """The net of ``layout`` as a frozen graph; ``weights`` are `WordNet.state_dict()` as arrays, under PyTorch's names
    and layouts."""
    import tensorflow as tf

    number = tf.as_dtype(precision.value)

    with tf.Graph().as_default() as made:
        pixels = tf.compat.v1.placeholder(tf.uint8, (None, None, None), name="pixels")
        grey = tf.cast(pixels, tf.float32)
        low = tf.reduce_min(grey, (1, 2), keepdims=True)
        high = tf.reduce_max(grey, (1, 2), keepdims=True)
        x = tf.cast(tf.expand_dims((high - grey) / tf.maximum(high - low, LEAST_RANGE), 3), number)
        read(weights, convolved(weights, x, layout), number, layout)
    return made.as_graph_def()


def convolved(weights: Weights, x: Any, layout: Layout = LARGE) -> Any:
    """Features (n, 1, steps, ``layout.features``) of ink (n, 32, w, 1), in the numbers that the ink is in."""
    import tensorflow as tf

    for i, (_, _, stride, padding) in enumerate(layout.convolutions):
        kernel, bias = (tf.cast(array, x.dtype) for array in folded(weights, i))
        pads = [[0, 0], [padding[0]] * 2, [padding[1]] * 2, [0, 0]]
        given = tf.nn.bias_add(tf.nn.conv2d(x, kernel, (1, *stride, 1), pads), bias)
        x = tf.nn.relu(given + x if i in layout.residual else given)
    return x


def read(weights: Weights, features: Any, number: Any, layout: Layout = LARGE) -> Any:
    """Logits, named so, of features (n, 1, steps, ``layout.features``); the head multiplies in ``number``."""
    import tensorflow as tf

    sequence = tf.transpose(tf.cast(tf.squeeze(features, 1), tf.float32), (1, 0, 2))  # steps, n, features
    states = _both_ways(weights, sequence, "lstm")
    if layout.second:
        states = tf.concat((states, _both_ways(weights, states, "second")), 2)
    states = tf.reshape(states, (-1, layout.states))
    head = tf.cast(weights["head.weight"].T, number)
    flat = tf.nn.bias_add(tf.cast(tf.matmul(tf.cast(states, number), head), tf.float32), weights["head.bias"])
    shape = tf.shape(sequence)
    return tf.transpose(tf.reshape(flat, (shape[0], shape[1], -1)), (1, 0, 2), name="logits")


def _both_ways(weights: Weights, sequence: Any, name: str) -> Any:
    """Both directions' states side by side, (steps, n, 2 hidden)."""
    import tensorflow as tf

    forward = _lstm(weights, sequence, name, "")
    backward = tf.reverse(_lstm(weights, tf.reverse(sequence, (0,)), name, "_reverse"), (0,))
    return tf.concat((forward, backward), 2)


def _lstm(weights: Weights, sequence: Any, name: str, suffix: str) -> Any:
    """One direction. Both libraries order the gates input, forget, cell, output."""
    import tensorflow as tf

    own = weights[f"{name}.weight_hh_l0{suffix}"]
    both = np.concatenate([weights[f"{name}.weight_ih_l0{suffix}"], own], 1).T
    bias = weights[f"{name}.bias_ih_l0{suffix}"] + weights[f"{name}.bias_hh_l0{suffix}"]
    hidden = own.shape[1]
    shape = tf.shape(sequence)
    zeros = tf.zeros((shape[1], hidden))
    no_peephole = np.zeros(hidden, np.float32)
    return tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.cast(shape[0], tf.int64),
        x=sequence,
        cs_prev=zeros,
        h_prev=zeros,
        w=np.ascontiguousarray(both),
        wci=no_peephole,
        wcf=no_peephole,
        wco=no_peephole,
        b=bias,
    ).h
