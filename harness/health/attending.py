"""Attention at its start, by draws of single heads (Hron et al. 2020, where heads are many).

Queries, keys and values are linear in weights just drawn, so given K of the inputs those of one head are Gaussian; what
a head makes of them, and of a δ that comes back, is computed as it is, for heads of the size that the layer has.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from harness.health import spread
from harness.health.field import Field, Passed, Start, gaussian, moments
from harness.health.spread import mixed
from harness.health.weights import variance
from harness.problems.data import Floats
from harness.spec.architecture import Place, head_size, parameters
from harness.spec.layers import Attention

NUMBERS, HEADS = 400_000, 2000  # of draws: about so many numbers of one head's shares, at most so many heads


class Head(NamedTuple):
    """Drawn heads, (heads, samples, time, size)."""

    q: Floats
    k: Floats
    v: Floats
    shares: Floats  # (heads, samples, time, time), rows sum to 1


def attended(place: Place, kind: Attention, given: Field, start: Start) -> Passed:
    """y = (heads of softmax(QKᵀ/√k)V, joined)·W_o."""
    size = head_size(kind, given.features)
    inner = kind.heads * size
    found = parameters((kind,), place.inputs)
    weights = {name.rpartition(".")[2]: p for name, p in found.items() if len(p.shape) == 2}
    each = {role: variance(start.weights, p.shape, p.fans) for role, p in weights.items()}
    head = _drawn(kind, size, given, each, start.seed)
    answers = head.shares @ head.v
    joined, _ = _moments(answers)
    there, back_of_output = spread.of_weights(start.weights, inner, given.features)
    kernel = each["output"] * inner * joined
    after = Field(
        given.samples,
        given.shape,
        kernel,
        np.zeros(len(kernel)),
        gaussian=True,
        symmetric=True,
        exact=False,
        sensitivity=mixed(
            (1.0, given.sensitivity),
            (1.0, start.shocks.new(there)),
            (1.0, start.shocks.new(_variance([answers]) / kind.heads)),
        ),
        draw=gaussian(kernel, start.seed),
        why=given.why,
    )

    def back(g: Floats) -> dict[str, Floats]:
        """G of queries, keys and values, of one feature."""
        delta = _heads(gaussian(each["output"] * given.features * g, start.seed + 1)(), head.v.shape)
        return {role: _moments(of)[0] for role, of in zip(("query", "key", "value"), _back(head, delta), strict=True)}

    def of_inputs(g: Floats) -> Floats:
        return np.asarray(sum(each[role] * inner * of for role, of in back(g).items()))

    def gradients(g: Floats) -> dict[str, Floats]:
        made = {"output": given.features * inner * joined * g, "output_bias": given.features * g}
        for role, of in back(g).items():
            made |= {role: given.features * given.kernel * inner * of, f"{role}_bias": inner * of}
        return made

    even = _back(head, _heads(gaussian(np.eye(len(kernel)), start.seed + 1)(), head.v.shape))
    of_heads = start.shocks.new(_variance(list(even)) / kind.heads)
    of_inputs_weights = start.shocks.new(spread.of_weights(start.weights, given.features, inner)[1])
    below = mixed((1.0, start.shocks.new(back_of_output)), (1.0, of_heads), (1.0, of_inputs_weights))
    return Passed(after, of_inputs, gradients, below)


def _drawn(kind: Attention, size: int, given: Field, each: dict[str, float], seed: int) -> Head:
    times, n = given.places, given.samples
    heads = int(min(max(NUMBERS / (n * times * max(times, size)), 20), HEADS))
    shape = (heads, n, times, size)
    unit = np.asarray(gaussian(given.features * given.kernel, seed, 3 * heads * size)())
    q, k, v = (
        math.sqrt(each[role]) * _heads(part, shape)
        for role, part in zip(("query", "key", "value"), np.split(unit, 3), strict=True)
    )
    scores = q @ np.swapaxes(k, 2, 3) / math.sqrt(size)
    if kind.causal:
        scores = np.where(np.tri(times, dtype=bool), scores, -np.inf)
    return Head(q, k, v, softmax(scores, axis=-1))


def _back(head: Head, delta: Floats) -> tuple[Floats, Floats, Floats]:
    """∂L/∂q, ∂L/∂k and ∂L/∂v from δ of a head's answers."""
    of_shares = delta @ np.swapaxes(head.v, 2, 3)
    of_scores = head.shares * (of_shares - np.sum(of_shares * head.shares, axis=-1, keepdims=True))
    of_scores /= math.sqrt(head.q.shape[-1])
    turned = np.swapaxes(of_scores, 2, 3)
    return of_scores @ head.k, turned @ head.q, np.swapaxes(head.shares, 2, 3) @ delta


def _heads(features: Floats, shape: tuple[int, ...]) -> Floats:
    """Features (channels, samples × time), repeated where they are too few, as heads."""
    heads, n, times, size = shape
    return np.moveaxis(np.resize(features, (heads, size, n, times)), 1, 3)


def _moments(of_heads: Floats) -> tuple[Floats, Floats]:
    """K of heads' features."""
    return moments(np.moveaxis(of_heads, 3, 1).reshape(-1, of_heads.shape[1] * of_heads.shape[2]))


def _variance(parts: list[Floats]) -> float:
    """Relative, from head to head, of ‖·‖² of one sample's place, on average over them."""
    squares = sum(np.sum(part**2, axis=3) for part in parts)
    return float(np.mean(np.var(squares, axis=0)) / np.mean(np.mean(squares, axis=0) ** 2))
