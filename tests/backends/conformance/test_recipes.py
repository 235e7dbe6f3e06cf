"""Same maths: every variant of every piece of a recipe, ``exact``, against the reference, to rounding."""

import itertools

import numpy as np
import pytest

from harness.spec.cell import Budget
from harness.spec.optimizers import OPTIMIZERS
from harness.spec.problem import RandomGradients
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

VARIANTS = [variant for kind in OPTIMIZERS for variant in variants(kind)]
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


@pytest.mark.parametrize("recipe", RECIPES, ids=recipe_label)
def test_in_double_precision(run, recipe):
    mine, theirs = run(RandomGradients(), recipe, SHORT), run(RandomGradients(), recipe, SHORT, on="reference")
    assert mine.distance(theirs) <= 1e-12
    np.testing.assert_allclose(mine.steps.loss, theirs.steps.loss, rtol=0, atol=1e-12 * np.abs(theirs.steps.loss).max())
    np.testing.assert_allclose(mine.steps.penalty, theirs.steps.penalty, rtol=1e-12)
    np.testing.assert_allclose(mine.steps.norms, theirs.steps.norms, rtol=1e-12)


@pytest.mark.parametrize("recipe", RECIPES[::5], ids=recipe_label)
def test_in_single_precision(run, precisions, recipe):
    if "float32" not in precisions:
        pytest.skip("computes in float64 only")
    mine = run(RandomGradients(), recipe, SHORT, precision="float32")
    assert mine.distance(run(RandomGradients(), recipe, SHORT, on="reference")) <= 1e-4
