"""Matrix products, begun and waited for apart: what clocks are checked with."""

import numpy as np

from harness.backend import Work


def work(size: int) -> Work:
    """NumPy begins nothing that it has not ended when it returns."""
    matrix = np.full((size, size), 1 / size, np.float32)

    def start(products: int) -> object:
        made = matrix
        for _ in range(products):
            made = made @ matrix
        return made

    return Work(start, lambda made: made)
