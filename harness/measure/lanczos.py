"""The largest eigenvalue of a symmetric matrix that is known by its products with vectors (Lanczos 1950)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from harness.backend import Floats
from harness.observation import LEAST, MOST


class Top(NamedTuple):
    """The largest eigenvalue, as far as it was found: never above it but by rounding."""

    value: float  # θ, algebraically the largest
    residual: float  # ‖Hv − θv‖/|θ|: some eigenvalue is so near to θ, of a start that has all of them the largest
    vector: Floats  # v, of length 1


def largest(product: Callable[[Floats], Floats], start: Floats, tolerance: float, most: int) -> Top:
    """By at most ``most`` products, fewer where the residual is at most ``tolerance`` before.

    βₖqₖ₊₁ = Hqₖ − αₖqₖ − βₖ₋₁qₖ₋₁ makes of H a tridiagonal T, whose largest θ with the eigenvector s gives v = Σ sₖqₖ
    and ‖Hv − θv‖ = βₖ|sₖ|. New vectors are made orthogonal to all before once more, as rounding does not leave them
    (Paige 1971). NaN where a product is not finite. All of it in the precision of ``start``.
    """
    most = min(most, start.size)
    basis = np.empty((most, start.size), start.dtype)
    np.divide(start, length(start), out=basis[0])
    alphas: list[float] = []
    betas: list[float] = []
    for k in range(1, most + 1):
        q = basis[:k]
        rest = product(q[-1])
        if not math.isfinite(length(rest)):
            break
        alphas.append(float(q[-1] @ rest))
        rest = rest - alphas[-1] * q[-1]
        if betas:
            rest -= betas[-1] * q[-2]
        rest -= (q @ rest) @ q
        beta = length(rest)
        values, vectors = np.linalg.eigh(np.diag(alphas) + np.diag(betas, 1) + np.diag(betas, -1))
        value, shares = float(values[-1]), vectors[:, -1]
        missing = beta * abs(float(shares[-1]))
        if missing <= tolerance * abs(value) or k == most:
            return Top(value, missing / abs(value) if missing else 0.0, shares.astype(start.dtype) @ q)
        betas.append(beta)
        np.divide(rest, beta, out=basis[k])
    return Top(np.nan, np.nan, np.full_like(start, np.nan))


def length(v: Floats) -> float:
    """‖v‖, in float64 where float32's squares may have vanished or overflowed."""
    plain = math.sqrt(v @ v)
    return plain if LEAST <= plain <= MOST else float(np.linalg.norm(v.astype(np.float64)))
