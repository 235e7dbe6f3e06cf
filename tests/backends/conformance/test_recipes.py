"""Same maths: every variant of every piece of a recipe, ``exact``, against the reference, to rounding."""

import itertools

import numpy as np
import pytest
from msgspec.structs import replace

from harness.spec.cell import Budget
from harness.spec.optimizers import LBFGS, OPTIMIZERS
from harness.spec.problem import Quadratic, RandomGradients
from harness.spec.recipe import (
    L1,
    L1L2,
    L2,
    Adaptive,
    ByValue,
    Coupled,
    Decoupled,
    GlobalNorm,
    NoClip,
    NoDecay,
    NoPenalty,
    PerTensor,
    Recipe,
)
from harness.spec.schedules import Constant, Cosine, Exponential, InverseTime, OneCycle, Polynomial, Step, WarmUp
from harness.spec.spellings import recipe_label
from harness.spec.variants import variants

# At rates of 0.01 or more, so that they move: see harness.studies.
VARIANTS = [replace(variant, lr=max(variant.lr, 0.01)) for kind in OPTIMIZERS for variant in variants(kind)]
CLIPS = [NoClip(), GlobalNorm(2.0), PerTensor(1.0), ByValue(-0.5, 0.5), ByValue(-0.5, 0.7), Adaptive(0.1)]
PENALTIES = [
    NoPenalty(),
    L1(0.01),
    L2(0.1, scaling="per_sample", on="all"),
    L1L2(0.01, 0.02, on=("bias",)),
    L2(0.01),
    L1L2(0.01, 0.2, scaling="per_sample"),
]
DECAYS = [
    NoDecay(),
    Coupled(0.1),
    Decoupled(0.1),
    Decoupled(0.1, scaled_by="schedule", on="all"),
    Coupled(0.1, on="all"),
    Decoupled(0.01, scaled_by="schedule", on=("bias",)),
    Decoupled(0.1, on="all"),
]
SCHEDULES = [
    Constant(),
    Step(5, 0.5),
    Exponential(0.5, 7),
    WarmUp(4, 0.1, Cosine(floor=0.1)),
    Cosine(15),
    WarmUp(30),
    WarmUp(3, then=Step(5)),
    WarmUp(6, 0.2, Exponential(0.5, 7)),
    Polynomial(15, 2.0, 0.1),
    InverseTime(1.0, 10),
    OneCycle(),
]
# The lists' lengths share few factors, so that going round each of them brings ever new neighbours together.
ROUNDS = zip(*(itertools.cycle(pieces) for pieces in (CLIPS, PENALTIES, DECAYS, SCHEDULES)), strict=False)
RECIPES = [Recipe(optimizer, *pieces) for optimizer, pieces in zip(VARIANTS, ROUNDS, strict=False)]
SHORT = Budget(steps=20, batch=1)
BOWL = Quadratic(condition=10.0, rotated=True)


def compare(run, tolerance, problem, recipe):
    mine, theirs = run(problem, recipe, SHORT), run(problem, recipe, SHORT, on="reference")
    distance = mine.distance(theirs)
    allowed = 1e-12 if distance <= 1e-12 else tolerance(problem, recipe, SHORT)
    assert distance <= allowed
    for name in ("loss", "penalty", "norms"):
        found, expected = getattr(mine.steps, name), getattr(theirs.steps, name)
        np.testing.assert_allclose(found, expected, rtol=0, atol=10 * allowed * np.abs(expected).max())


@pytest.mark.parametrize("recipe", [r for r in RECIPES if not isinstance(r.optimizer, LBFGS)], ids=recipe_label)
def test_in_double_precision(run, tolerance, recipe):
    compare(run, tolerance, RandomGradients(), recipe)


@pytest.mark.parametrize("optimizer", variants(LBFGS), ids=str)
def test_curvature_in_double_precision(run, tolerance, optimizer):
    """Of gradients that know nothing of w, sᵀy is near 0 by chance, and its inverse is rounding: so, in a bowl."""
    compare(run, tolerance, BOWL, Recipe(optimizer, GlobalNorm(5.0), L2(0.01), Decoupled(0.01), Step(5, 0.5)))


@pytest.mark.parametrize("optimizer", VARIANTS[::5], ids=str)
def test_in_single_precision(run, precisions, optimizer):
    if "float32" not in precisions:
        pytest.skip("computes in float64 only")
    problem = BOWL if isinstance(optimizer, LBFGS) else RandomGradients()
    recipe = Recipe(optimizer, ByValue(-0.9, 0.9), schedule=Exponential(0.5, 20))
    mine = run(problem, recipe, SHORT, precision="float32")
    assert mine.distance(run(problem, recipe, SHORT, on="reference")) <= 1e-4
