"""Batch and layer normalisation of a random field."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from harness.health.field import Draw, Field, Passed, gaussian, moments
from harness.health.spread import mixed
from harness.problems.data import Floats

ENOUGH = 100  # draws that a mean of 1/σ² must in effect be over: its error is then 10 %
RARE = "a few features that hardly vary over the batch decide how large gradients are behind a batch norm"


def by_batch(given: Field, draw: Draw, eps: float) -> Passed:
    """x̂ = (x − μ)/σ, μ and σ² = v + ε of one feature over the batch's samples and places (Yang et al. 2019).

    Back, δ below is (1/σ)(δ − mean δ − x̂·mean(δx̂)), averaged over draws of x. With B independent samples, linear layers
    with batch norms let a squared gradient grow by (B − 2)/(B − 3) each, and with ReLU between, where B is large, by
    π/(π − 1): what the norm takes away, the mean, was a part of the signal but is none of the gradient. Behind an
    activation δ = φ'(x̂)δ', with δ' independent of x̂: so ``joint`` goes back through both together.
    """
    x = draw()
    m = x.shape[1]
    centred = x - x.mean(axis=1, keepdims=True)
    scale = 1 / np.sqrt(np.mean(centred**2, axis=1) + eps)
    normal = centred * scale[:, None]
    kernel, mean = moments(normal)
    after = Field(given.samples, given.shape, kernel, mean, exact=False, draw=lambda: normal, why=given.why)
    scaled = normal * scale[:, None]

    def back(gradient: Floats) -> Floats:
        return joint(None, gradient)

    def joint(slopes: Floats | None, gradient: Floats) -> Floats:
        """With P = I − 11ᵀ/m and d = φ'δ': E[(1/σ)(P − x̂x̂ᵀ/m) dδ'δ'ᵀd (P − x̂x̂ᵀ/m)(1/σ)] over draws of x̂."""
        slopes = np.ones_like(normal) if slopes is None else slopes
        steep = scale[:, None] * slopes
        inner = _centred(_centred(steep.T @ steep / len(x) * gradient).T)
        passed_on = (scaled * slopes) @ gradient
        along = _centred((passed_on * slopes).T @ scaled / len(x)) / m
        parts = np.sum(passed_on * scaled * slopes, axis=1) / m**2
        return np.asarray(inner - along - along.T + (normal * parts[:, None]).T @ normal / len(x))

    if np.sum(scale**2) ** 2 < ENOUGH * np.sum(scale**4):
        return Passed(after, lambda g: np.full_like(kernel, np.nan), _of_shift(given), why=RARE)
    return Passed(after, back, _of_shift(given), mixed((-1.0, given.sensitivity)), joint=joint)


def _centred(matrix: Floats) -> Floats:
    return np.asarray(matrix - matrix.mean(axis=0))


def by_features(given: Field, eps: float, seed: int) -> Passed:
    """x̂ = (x − μ)/σ, μ and σ² = v + ε of one sample and place over its features: v = Kₐₐ − E[xₐ]², as there are many.

    Of a field of which nothing is known this much is: E x̂² = 1.
    """
    variance = np.diag(given.kernel) - given.mean**2
    scale = 1 / np.sqrt(np.maximum(variance, 0) + eps)
    kernel = (given.kernel - np.outer(given.mean, given.mean)) * np.outer(scale, scale)
    kernel = np.where(np.isnan(kernel) & np.eye(len(kernel), dtype=bool), 1.0, kernel)
    after = replace(
        given, kernel=kernel, mean=np.zeros_like(given.mean), exact=False, sensitivity={}, values=None, why=given.why
    )
    before = given.draw
    if given.gaussian:
        after = replace(after, draw=gaussian(kernel, seed))
    elif before is not None:
        after = replace(after, draw=lambda: np.asarray((before() - given.mean) * scale))
    return Passed(after, lambda g: g * np.outer(scale, scale), _of_shift(given), mixed((-1.0, given.sensitivity)))


def _of_shift(given: Field) -> Callable[[Floats], dict[str, Floats]]:
    return lambda gradient: {"shift": given.features * gradient}
