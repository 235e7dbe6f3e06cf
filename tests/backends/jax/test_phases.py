"""What is particular to JAX's phases: compiled once, and nothing of them optimized away."""

import logging

import jax
import numpy as np
import pytest

from harness.spec.activations import Tanh
from harness.spec.cell import Budget
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import L2, GlobalNorm, Recipe

BATCH, WIDTHS = 16, (64, 32, 24, 10)
PROBLEM = Network(
    DataSet("digits"), (Dense(WIDTHS[1]), Tanh(), Dense(WIDTHS[2]), Tanh(), Dense(WIDTHS[3])), CrossEntropy()
)
RECIPE = Recipe(Adam(), GlobalNorm(0.1), L2(0.01))
BUDGET = Budget(steps=12, batch=BATCH)
PHASES = ("forward", "gradient", "penalty", "clip", "update")


def test_a_phase_is_compiled_once(make, caplog):
    """However many blocks are timed; and training after it is compiled no more than before."""
    trainer, start, order = make(PROBLEM, RECIPE, BUDGET)
    trainer.train(order[:2])
    for phase in PHASES:
        trainer.phase(phase, order[:2])()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for phase in PHASES:
            trainer.reset(start)
            trainer.train(order[:3])
            trainer.phase(phase, order[3:8])()
            trainer.train(order[8:])
        assert not [record for record in caplog.records if "ompil" in record.getMessage()]
        trainer.phase("forward", order[:, :8])
        assert [record for record in caplog.records if "ompil" in record.getMessage()]


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_nothing_is_left_out(make, precision):
    """XLA counts all products of matrices: one a layer forward, and back one for W and one for x but the first."""
    trainer, _, order = make(PROBLEM, RECIPE, BUDGET, precision=precision)
    sizes = [BATCH * inputs * outputs for inputs, outputs in zip(WIDTHS[:-1], WIDTHS[1:], strict=True)]
    forward, backward = 2 * sum(sizes), 2 * (2 * sum(sizes) - sizes[0])
    for phase, least in (("forward", forward), ("gradient", forward + backward)):
        trainer.phase(phase, order)()
        (compiled,) = (run for key, run in trainer.phases.compiled.items() if key[0] == phase)
        assert least <= compiled.cost_analysis()["flops"] <= 1.3 * least


def test_a_gradient_is_the_gradient(make):
    trainer, _, order = make(PROBLEM, RECIPE, BUDGET)
    expected = trainer.gradients(order[0])
    held, rows = trainer._phase("gradient", order)
    with jax.enable_x64(True):
        found = trainer.phases.phase("gradient", held, *rows[0])(jax.tree.leaves(held), *rows[0])
    loss = trainer.train(order[:1])
    assert float(found[0]) == pytest.approx(float(loss.loss[0] + loss.penalty[0]), rel=1e-12)
    for name, g in zip(sorted(expected), found[-len(expected) :], strict=True):
        np.testing.assert_allclose(g, expected[name], rtol=0, atol=1e-12 * np.abs(expected[name]).max())
