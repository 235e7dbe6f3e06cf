"""What is particular to JAX's trainer: compiled once, and the precision of the process is nobody's."""

import logging
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from backends.jax import activations
from harness.problems import task as tasks
from harness.spec.activations import SELU, Elu, LeakyRelu, Relu, Selu
from harness.spec.base import to_json
from harness.spec.cell import Budget, Cell
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import LBFGS, OPTIMIZERS, AdaGrad, Adam, ScheduleFree
from harness.spec.problem import DataSet, Network, Quadratic, RandomGradients
from harness.spec.recipe import Decoupled, GlobalNorm, Recipe
from harness.spec.schedules import Constant, Cosine, Step, WarmUp
from harness.spec.variants import variants

PROBLEM = Network(DataSet("wine"), (Dense(3),), CrossEntropy())
BUDGET = Budget(steps=12, batch=16)
RECIPE = Recipe(Adam(amsgrad="raw"), GlobalNorm(0.1), decay=Decoupled(), schedule=WarmUp(3, then=Cosine()))


def compilations(caplog):
    return [record for record in caplog.records if "ompil" in record.getMessage()]


def test_reset_does_not_compile_again(make, caplog):
    trainer, start, order = make(PROBLEM, RECIPE, BUDGET)
    trainer.reset(tasks.initial(tasks.make(PROBLEM), 1))
    trainer.train(order[:5])
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        trainer.train(order[5:6])
        trainer.reset(start)
        trainer.train(order)
        assert not compilations(caplog)
        trainer.gradients(order[0])
        assert compilations(caplog)


def test_observing_compiles_once(make, caplog):
    trainer, start, order = make(PROBLEM, RECIPE, BUDGET)
    trainer.observe(order[:1], "standard")
    trainer.train(order[1:2])
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        trainer.observe(order[2:3], "standard")
        trainer.train(order[3:5])
        trainer.reset(start)
        trainer.observe(order[:1], "standard")
        assert not compilations(caplog)


def test_rescaling_compiles_nothing(make, caplog):
    trainer, _, order = make(PROBLEM, RECIPE, BUDGET)
    trainer.train(order[:5])
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        trainer.rescale(0.5)
        trainer.train(order[5:])
        assert not compilations(caplog)


RESCALED = [Recipe(variant) for kind in OPTIMIZERS for variant in variants(kind)[:2]]


@pytest.mark.parametrize("recipe", [*RESCALED, RECIPE, Recipe(Adam(), decay=Decoupled(0.1, "schedule"))])
def test_rescaling_is_the_formula_s(make, recipe):
    """Of the rate and of the decay's, in the middle of a run, and gone after a reset."""
    found = []
    for words in ({}, {"on": "reference"}):
        trainer, start, order = make(RandomGradients(), recipe, Budget(steps=16, batch=1), **words)
        trainer.train(order[:8])
        trainer.rescale(0.25)
        trainer.train(order[8:])
        after = trainer.parameters()
        trainer.reset(start)
        trainer.train(order[:8])
        found.append([after, trainer.parameters()])
    for mine, theirs in zip(*found, strict=True):
        for name, w in theirs.items():
            np.testing.assert_allclose(mine[name], w, rtol=0, atol=1e-12 * np.abs(w - start[name]).max())


@pytest.mark.parametrize("optimizer", [variants(kind)[0] for kind in OPTIMIZERS])
def test_rescaling_what_is_shipped_is_a_schedule(make, optimizer):
    """One that cuts the rate where the harness does; of optax's own, which is in float32."""
    found = []
    # The pairs of L-BFGS are ill-conditioned where the gradients are random.
    problem = Quadratic() if isinstance(optimizer, LBFGS) else RandomGradients()
    for schedule, factors in ((Constant(), (1.0, 0.5)), (Step(6, 0.5), (1.0, 1.0))):
        recipe = Recipe(optimizer, decay=Decoupled(0.1), schedule=schedule)
        trainer, start, order = make(problem, recipe, Budget(steps=12, batch=1), implementation="shipped")
        for rows, factor in zip(np.split(order, 2), factors, strict=True):
            trainer.rescale(factor)
            trainer.train(rows)
        found.append(trainer.parameters())
    for name, w in found[1].items():
        np.testing.assert_allclose(found[0][name], w, rtol=0, atol=1e-6 * np.abs(w - start[name]).max())


FREE = [
    (ScheduleFree(0.1), "exact"),
    (ScheduleFree(0.1, base="sgd"), "exact"),
    (ScheduleFree(0.1, weights="equal"), "exact"),
    (ScheduleFree(0.1), "shipped"),
]


@pytest.mark.parametrize(("optimizer", "implementation"), FREE)
def test_a_schedule_free_network_is_evaluated_at_its_mean(run, optimizer, implementation):
    mine = run(PROBLEM, Recipe(optimizer), BUDGET, implementation=implementation)
    theirs = run(PROBLEM, Recipe(optimizer), BUDGET, on="reference")
    expected = theirs.trainer.evaluate("training")
    assert mine.trainer.evaluate("training") == pytest.approx(expected, rel=1e-12)
    theirs.trainer.reset(theirs.trainer.parameters())  # w, where all start
    assert theirs.trainer.evaluate("training").loss != pytest.approx(expected.loss, rel=1e-3)


def test_precisions_take_turns(make):
    """Trainers taking turns compute what each computes alone, in what they compile late too."""

    def results(trainer):
        return [trainer.evaluate("test").loss, *trainer.parameters().values()]

    expected, turns = {}, {}
    for precision in ("float64", "float32"):
        alone, _, order = make(PROBLEM, RECIPE, BUDGET, precision=precision)
        alone.train(order)
        expected[precision] = results(alone)
        turns[precision], _, _ = make(PROBLEM, RECIPE, BUDGET, precision=precision)
    for block in np.split(order, 3):
        for trainer in turns.values():
            trainer.train(block)
    for precision, trainer in turns.items():
        assert all(np.array_equal(a, b) for a, b in zip(results(trainer), expected[precision], strict=True))
    assert not jax.config.jax_enable_x64


COLD = """
from backends.jax import BACKEND
from harness.problems import task as tasks
from harness.spec.base import from_json
from harness.spec.cell import Cell

cell = from_json(Cell, {cell!r})
task = tasks.make(cell.problem)
order = tasks.order(task.samples, cell.budget, 0)
print(BACKEND.open(1).trainer(cell, task, tasks.initial(task, 0), len(order), False).train(order).loss.tobytes().hex())
"""


def test_a_cold_process_computes_the_same(run):
    recipe = Recipe(Adam(eps_placement="hat"), schedule=Cosine())
    run(PROBLEM, recipe, BUDGET, precision="float32", observe=False)
    warm = run(PROBLEM, recipe, BUDGET, observe=False).steps.loss
    cell = Cell(PROBLEM, recipe, BUDGET, "jax", precision="float64")
    cold = subprocess.run(
        [sys.executable, "-c", COLD.format(cell=to_json(cell))], capture_output=True, text=True, check=True
    )
    assert np.array_equal(np.frombuffer(bytes.fromhex(cold.stdout), np.float64), warm)


@pytest.mark.parametrize(
    ("phi", "slope"), [(LeakyRelu(0.1), 0.1), (Relu(), 0.0), (Elu(0.5), 0.5), (Selu(), SELU[0] * SELU[1])]
)
def test_kinks(phi, slope):
    """φ'(0) is the spec's, for 0 and −0."""
    with jax.enable_x64(True):
        derivative = jax.vmap(jax.grad(lambda z: activations.activation(phi, z, exact=True)))
        assert np.array_equal(derivative(jnp.array([0.0, -0.0, 0.0])), [slope] * 3)


def test_no_gradient_and_no_epsilon_is_not_a_number(run):
    """0/√0: optax takes it as 0."""
    recipe, problem = Recipe(AdaGrad(eps=0.0)), RandomGradients(scale=1e-200)  # whose square is 0
    for on in ("jax", "reference"):
        found = run(problem, recipe, Budget(steps=20, batch=1), on=on)
        assert not np.isfinite(found.trainer.parameters()["weight"]).any()
