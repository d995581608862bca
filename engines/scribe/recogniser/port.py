"""PyTorch's weights rebuilt as a frozen TensorFlow graph; BatchNorm is folded into the convolutions.

The graph takes `pixels` uint8 (n, 32, 256) and gives `logits` float32 (n, 64, CLASSES). It has no control flow: the
LSTM runs as `BlockLSTMV2`, one operation for the whole sequence, which the single-threaded executor accepts.
"""

from __future__ import annotations

CONVOLUTIONS = (
    # channels, kernel, stride, padding; each with BatchNorm and ReLU. 32 x 256 in, 1 x 64 out
    (24, (5, 5), (2, 2), (2, 2)),
    (32, (3, 3), (1, 1), (1, 1)),
    (64, (3, 3), (2, 2), (1, 1)),
    (64, (3, 3), (1, 1), (1, 1)),
    (96, (3, 3), (2, 1), (1, 1)),
    (160, (4, 3), (1, 1), (0, 1)),
)
FEATURES = CONVOLUTIONS[-1][0]
HIDDEN = 112
LEAST_RANGE = 24.0
"""Grey levels between a window's darkest and lightest pixel that are stretched at most: below, a window is nearly empty."""
