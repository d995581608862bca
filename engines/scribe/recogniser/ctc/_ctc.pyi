import numpy as np
from numpy.typing import NDArray

START: int
END: int

class Language:
    def __init__(
        self,
        keys: NDArray[np.uint64],
        costs: NDArray[np.uint8],
        backoffs: NDArray[np.uint8],
        symbols: NDArray[np.uint8],
        *,
        order: int,
        unit: float,
    ) -> None: ...
    def cost(self, text: NDArray[np.uint8]) -> float: ...

def read(
    logits: NDArray[np.float32],
    language: Language | None,
    *,
    width: int,
    least: float,
    margin: float,
    weight: float,
    bonus: float,
    doubted: float,
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]: ...
def log_likelihoods(
    log_probabilities: NDArray[np.float32], labels: NDArray[np.uint8], lengths: NDArray[np.int64]
) -> NDArray[np.float64]: ...
