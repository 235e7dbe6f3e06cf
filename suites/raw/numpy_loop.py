"""NumPy: all parameters in one flat vector, every buffer made once."""

from collections.abc import Callable, Mapping

import numpy as np

BATCH = 32
Start = Mapping[str, np.ndarray]


ARCHITECTURES = ("mlp",)  # what a hand would write in NumPy; for the others there is no loop to be compared with


def make(architecture: str, x: np.ndarray, y: np.ndarray, start: Start) -> Callable[[np.ndarray], np.ndarray]:
    """A function that trains on rows of ``BATCH`` indices and returns the losses."""
    assert architecture in ARCHITECTURES
    first = list(start.values())
    inputs, labels = x.astype(np.float32), y.astype(np.intp)
    w, g, m, v, scratch = (_aligned(sum(values.size for values in first)) for _ in range(5))
    w[:] = np.concatenate([values.ravel() for values in first])
    (w1, b1, w2, b2, w3, b3), (g1, c1, g2, c2, g3, c3) = _views(w, first), _views(g, first)
    batch, h1, h2, d1, d2 = (_aligned(BATCH * 64).reshape(BATCH, 64) for _ in range(5))
    alive1, alive2 = np.empty((BATCH, 64), bool), np.empty((BATCH, 64), bool)
    z, p = np.empty((BATCH, 10), np.float32), np.empty((BATCH, 10), np.float32)
    highest, total = np.empty((BATCH, 1), np.float32), np.empty((BATCH, 1), np.float32)
    ones, ones10, firsts = np.ones(BATCH, np.float32), np.ones(10, np.float32), np.arange(BATCH) * 10
    zero, t = np.zeros((), np.float32), 0

    def train(order: np.ndarray) -> np.ndarray:
        nonlocal t
        losses = np.empty(len(order))
        for i, row in enumerate(order.astype(np.intp)):
            inputs.take(row, 0, batch, "clip")
            place = firsts + labels[row]
            np.dot(batch, w1, out=h1)
            np.add(h1, b1, out=h1)
            np.maximum(h1, zero, out=h1)
            np.dot(h1, w2, out=h2)
            np.add(h2, b2, out=h2)
            np.maximum(h2, zero, out=h2)
            np.dot(h2, w3, out=z)
            np.add(z, b3, out=z)
            np.maximum.reduce(z, axis=1, keepdims=True, out=highest)
            np.subtract(z, highest, out=z)
            np.exp(z, out=p)
            np.dot(p, ones10, out=total[:, 0])
            losses[i] = (np.log(total[:, 0]).sum() - z.ravel()[place].sum()) / BATCH
            np.multiply(total, BATCH, out=total)
            np.divide(p, total, out=p)
            p.reshape(-1)[place] -= 1 / BATCH
            np.dot(h2.T, p, out=g3)
            np.dot(ones, p, out=c3)
            np.dot(p, w3.T, out=d2)
            np.greater(h2, zero, out=alive2)
            np.multiply(d2, alive2, out=d2)
            np.dot(h1.T, d2, out=g2)
            np.dot(ones, d2, out=c2)
            np.dot(d2, w2.T, out=d1)
            np.greater(h1, zero, out=alive1)
            np.multiply(d1, alive1, out=d1)
            np.dot(batch.T, d1, out=g1)
            np.dot(ones, d1, out=c1)
            t += 1
            # m and v without their factors (1 − β), which move into the rate and ε: two passes fewer.
            k1, k2 = 0.1 / (1 - 0.9**t), (0.001 / (1 - 0.999**t)) ** 0.5
            np.multiply(m, 0.9, out=m)
            np.add(m, g, out=m)
            np.multiply(v, 0.999, out=v)
            np.multiply(g, g, out=scratch)
            np.add(v, scratch, out=v)
            np.sqrt(v, out=scratch)
            np.add(scratch, 1e-8 / k2, out=scratch)
            np.divide(m, scratch, out=scratch)
            np.multiply(scratch, 0.001 * k1 / k2, out=scratch)
            np.subtract(w, scratch, out=w)
        return losses

    return train


def _aligned(size: int) -> np.ndarray:
    """Zeros from the beginning of a cache line, which takes a tenth less."""
    raw = np.zeros(size + 16, np.float32)
    first = -raw.__array_interface__["data"][0] % 64 // 4
    return raw[first : first + size]


def _views(flat: np.ndarray, like: list[np.ndarray]) -> list[np.ndarray]:
    pieces = np.split(flat, np.cumsum([values.size for values in like])[:-1])
    return [piece.reshape(values.shape) for piece, values in zip(pieces, like, strict=True)]
