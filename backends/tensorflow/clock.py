"""Matrix products, begun and waited for apart: what clocks are checked with."""

from typing import Any

import tensorflow as tf

from harness.backend import Work


def work(device: str, size: int) -> Work:
    """On a CPU TensorFlow returns when it is done; on a GPU when the products are in its queue."""
    with tf.device("GPU:0" if device == "cuda" else "CPU:0"):
        matrix = tf.fill((size, size), 1 / size)

    def start(products: int) -> Any:
        made = matrix
        for _ in range(products):
            made = tf.linalg.matmul(made, matrix)
        return made

    def fence(made: Any) -> object:
        return made[0, 0].numpy()

    return Work(start, fence)
