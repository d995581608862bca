"""PyTorch's convolutions with BatchNorm as TensorFlow takes them: one kernel, one bias."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]
"""A ``state_dict`` as arrays, under PyTorch's names and layouts."""

_EPSILON = 1e-5  # PyTorch's BatchNorm2d


def folded(weights: Weights, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel (height, width, in, out) and bias of convolution ``index`` with its BatchNorm folded in.

    Convolution, BatchNorm and ReLU take turns in the net's ``features``.
    """
    norm = f"features.{3 * index + 1}"
    gain = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
    kernel = weights[f"features.{3 * index}.weight"] * gain[:, None, None, None]
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    return np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), bias
