"""What is particular to TensorFlow's modes and phases: traced once, nothing pruned, Keras's own clip."""

import numpy as np
import pytest
import tensorflow as tf
from msgspec.structs import replace

from backends.tensorflow import modes
from harness.errors import Unsupported
from harness.problems.catalogue import case
from harness.spec.cell import Budget, Cell
from harness.spec.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    MaxPool,
    Reshape,
    Residual,
)
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, Adam
from harness.spec.problem import DataSet, Network, RandomGradients
from harness.spec.recipe import L2, ByValue, GlobalNorm, PerTensor, Recipe

DIGITS = case("digits-64-64-64-10")
RECIPE = Recipe(Adam(), GlobalNorm(0.1), L2(0.01))
BUDGET = Budget(steps=6, batch=16)
PHASES = ("forward", "gradient", "penalty", "clip", "update")


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_a_phase_is_traced_once(make, mode):
    trainer, start, order = make(DIGITS.problem, RECIPE, BUDGET, mode=mode)
    for _ in range(2):
        for phase in PHASES:
            trainer.reset(start)
            trainer.train(order[:2])
            trainer.phase(phase, order[2:])()
    traced = [trainer._step, *trainer._phases.functions.values()]
    assert [function.experimental_get_tracing_count() for function in traced] == [1] * 6


def test_eager_traces_nothing(make):
    trainer, _, order = make(DIGITS.problem, RECIPE, BUDGET, mode="eager")
    trainer.train(order)
    for phase in PHASES:
        trainer.phase(phase, order)()
    ran = [trainer._step, trainer._gradients, *trainer._phases.functions.values()]
    assert not any(isinstance(function, tf.types.experimental.PolymorphicFunction) for function in ran)


@pytest.mark.parametrize("mode", ["graph", "eager", "xla"])
def test_nothing_is_pruned(make, mode):
    """A phase gives back what it is for: the loss and all gradients of a step."""
    trainer, _, order = make(DIGITS.problem, RECIPE, BUDGET, mode=mode)
    row, expected = tf.constant(order[0]), trainer.gradients(order[0])
    forward = trainer._phases.phase("forward", row)(row)
    loss, penalty, gradients = trainer._phases.phase("gradient", row)(row)
    value, *of_penalty = trainer._phases.phase("penalty")()
    steps = trainer.train(order[:1])
    assert float(loss) == pytest.approx(steps.loss[0], rel=1e-12)
    assert float(penalty) == float(value) == pytest.approx(steps.penalty[0], rel=1e-12)
    assert float(forward) == pytest.approx(steps.loss[0] + steps.penalty[0], rel=1e-12)
    assert len(of_penalty) == 3  # the weights; biases are not penalised
    for g, name in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(g, expected[name], rtol=0, atol=1e-12 * np.abs(expected[name]).max())


@pytest.mark.parametrize("clip", [GlobalNorm(0.1), PerTensor(0.1), ByValue(-0.1, 0.1)], ids=str)
@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_the_clip_of_a_keras_optimizer_is_a_phase(make, clip, mode):
    """It is timed as a clip, left out of an update, and there again after it."""
    problem, budget = RandomGradients(samples=1), Budget(steps=4, batch=1)
    recipe, words = Recipe(SGD(), clip), {"implementation": "shipped", "mode": mode}
    trainer, start, order = make(problem, recipe, budget, **words)
    held = trainer._held(order[0])
    clipped = trainer._phases.phase("clip", *held)(*held)
    trainer.train(order[:1])
    for name, g in zip(start, clipped, strict=True):
        np.testing.assert_allclose(start[name] - 0.01 * g.numpy(), trainer.parameters()[name], rtol=1e-6)
    before = trainer.parameters()
    trainer.phase("update", order[1:2])()
    for name, g in zip(start, held, strict=True):
        np.testing.assert_allclose(before[name] - 0.01 * g.numpy(), trainer.parameters()[name], rtol=1e-6)
    before = trainer.parameters()
    trainer.train(order[2:3])
    for name, g in zip(start, clipped, strict=True):
        np.testing.assert_allclose(before[name] - 0.01 * g.numpy(), trainer.parameters()[name], rtol=1e-6)


@pytest.mark.parametrize("mode", ["eager", "xla"])
def test_layers_of_every_family_run_in_every_mode(run, rounding, mode):
    """Loops, lookups, masks, moments and convolutions, against the graph."""
    tokens = (Embedding(17, 3), LSTM(3, sequences=True), Dropout(0.2), BatchNorm(), GRU(4))
    image = (Reshape((2, 2, 1)), Conv2D(2, (2, 2)), MaxPool((1, 1)), Flatten(), Dense(10))
    model = (Reshape((64,)), *tokens, *image)
    data = DataSet("digits", scaling="none", training=60)
    cell = Network(data, model, CrossEntropy()), Recipe(SGD(0.1)), Budget(steps=4, batch=8)
    assert rounding(run(*cell, mode=mode).distance(run(*cell)), *cell)


@pytest.mark.parametrize("layer", [LSTM(3), GRU(3), Residual((LSTM(8, sequences=True), GRU(8, sequences=True)))])
def test_what_xla_cannot_compile_is_refused(layer):
    model = (Reshape((8, 8)), layer, Dense(10))
    cell = Cell(Network(DataSet("digits"), model, CrossEntropy()), RECIPE, BUDGET, "tensorflow", device="cuda")
    modes.check(cell)
    with pytest.raises(Unsupported, match=r"mode xla: .*cuDNN"):
        modes.check(replace(cell, mode="xla"))
    modes.check(replace(cell, mode="xla", device="cpu"))
    before = replace(cell.problem, model=(Reshape((8, 8)), GRU(3, reset="before"), Dense(10)))
    modes.check(replace(cell, mode="xla", problem=before))
