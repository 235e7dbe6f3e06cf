"""Matrix products, begun and waited for apart: what clocks are checked with."""

import torch

from harness.backend import Work


def work(device: str, size: int) -> Work:
    """On a CPU torch returns when it is done; on a GPU when the products are in its queue."""
    matrix = torch.full((size, size), 1 / size, dtype=torch.float32, device=device)

    def start(products: int) -> object:
        made = matrix
        for _ in range(products):
            made = made @ matrix
        return made

    return Work(start, lambda made: torch.cuda.synchronize() if device == "cuda" else None)
