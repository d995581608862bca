import numpy as np
from numpy.typing import NDArray

NODE_SIZE: int
LAYOUT: list[tuple[str, str, int]]

def trees(
    grey: NDArray[np.uint8],
    *,
    dark: bool,
    light: bool,
    delta: int,
    min_area: int,
    step: int,
    connectivity: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
def regions(
    grey: NDArray[np.uint8],
    *,
    dark: bool,
    light: bool,
    delta: int,
    min_area: int,
    max_area: int,
    max_variation: float,
    min_diversity: float,
    step: int,
    connectivity: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
