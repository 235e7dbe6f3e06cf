"""What is particular to JAX's layers: where they come from, what ``shipped`` computes, what a step carries along."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from backends.jax import layers, losses
from harness.spec.activations import Gelu, LeakyRelu, Mish, Relu, Softmax, Tanh
from harness.spec.cell import Budget
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
    SimpleRNN,
)
from harness.spec.losses import CrossEntropy, Huber, MeanAbsoluteError
from harness.spec.optimizers import SGD
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe

N, C = "native", "composed"
DIGITS = DataSet("digits", scaling="min_max", training=60)
BUDGET = Budget(steps=6, batch=8)
NOISY = Network(DIGITS, (Dense(6), Dropout(0.5), Residual((Dropout(0.3),)), Dense(10)), CrossEntropy())
NORMAL = Network(DIGITS, (Dense(6), BatchNorm(), Dense(10)), CrossEntropy())

# Layers, where they come from in ``exact`` and in ``shipped``, and whether ``shipped`` has a reason to tell.
ORIGINS = [
    ((Dense(3), Relu(), Residual((Dense(3), Gelu())), Flatten(), Softmax(), Mish()), N, N, False),
    ((Reshape((8, 8, 1)), Conv2D(2), MaxPool(), GlobalAveragePool()), N, N, False),
    ((Embedding(3, 2), Position()), N, N, False),
    ((AveragePool(),), C, C, True),
    ((SimpleRNN(3),), C, C, True),
    ((LSTM(3),), C, C, True),
    ((GRU(3, reset="before"),), C, C, True),
    ((Attention(),), C, N, True),
    ((LayerNorm(),), N, N, True),
    ((BatchNorm(),), C, C, True),
    ((Dropout(),), C, C, True),
    ((Residual((Residual((LeakyRelu(),)),)),), C, N, True),
]


@pytest.mark.parametrize(("model", "exact", "shipped", "reason"), ORIGINS)
def test_origins(model, exact, shipped, reason):
    found = layers.origin(model, exact=True)
    assert found.how == exact
    assert bool(found.why) == (exact == C)
    found = layers.origin(model, exact=False)
    assert found.how == shipped
    assert bool(found.why) == reason


def test_a_composed_layer_composes_the_network():
    """With a reason for each kind of layer, once."""
    found = layers.origin((LSTM(3, sequences=True), LSTM(3), Dense(2), Dropout()), exact=True)
    assert found.how == C
    assert found.by == "jax.lax.scan, mx/(1 − p)"
    assert found.why.count(";") == 1


def test_attention_ships_a_softmax_in_single_precision(make):
    """Which shows in float64 alone."""
    problem = Network(DIGITS, (Reshape((8, 8)), Attention(2, causal=True), Flatten(), Dense(10)), CrossEntropy())
    gradients = {}
    for implementation in ("exact", "shipped"):
        trainer, _, order = make(problem, Recipe(SGD()), BUDGET, implementation=implementation)
        gradients[implementation] = trainer.gradients(order[0])["attention1.value"]
    scale = np.abs(gradients["exact"]).max()
    assert 1e-10 * scale < np.abs(gradients["shipped"] - gradients["exact"]).max() < 1e-6 * scale


def test_layer_norm_ships_a_variance_that_cancels():
    """mean x² − (mean x)² of features far from 0: in float32 none of its digits are left where the mean is 1e4."""
    x = 1e4 + np.random.default_rng(0).standard_normal((4, 16))
    expected = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    theta = {"scale": jnp.ones(16), "shift": jnp.zeros(16)}
    off = {
        exact: np.abs(layers.forward(LayerNorm(), theta, jnp.array(x, jnp.float32), exact) - expected).max()
        for exact in (True, False)
    }
    assert off[True] < 0.01
    assert off[False] > 0.1


@pytest.mark.parametrize(("loss", "shipped"), [(MeanAbsoluteError(), 1.0), (Huber(), 0.0)])
def test_kinks_of_losses(loss, shipped):
    """|r|' at 0 is 0; jnp.abs says 1."""
    for exact, slope in ((True, 0.0), (False, shipped)):
        derivative = jax.grad(lambda z, exact=exact: losses.loss(loss, z, jnp.zeros((1, 1)), exact))
        assert derivative(jnp.zeros((1, 1))) == slope


def test_shipped_dropout_repeats_itself(make):
    """After a reset to the last bit, with other masks under another seed, and others at each step."""
    runs = []
    for seed in (0, 0, 1):
        trainer, start, order = make(NOISY, Recipe(SGD(1e-30)), BUDGET, implementation="shipped", seed=seed)
        same_batch = np.repeat(order[:1], 6, axis=0)
        losses_of = [trainer.train(same_batch).loss.tolist()]
        trainer.reset(start)
        losses_of.append([trainer.train(row[None]).loss[0] for row in same_batch])
        assert losses_of[0] == losses_of[1]
        runs.append(losses_of[0])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 6
    assert not set(runs[0]) & set(runs[2])


@pytest.mark.parametrize("implementation", ["exact", "shipped"])
def test_gradients_are_those_of_the_coming_step(make, implementation):
    trainer, _, order = make(NOISY, Recipe(SGD(0.5)), BUDGET, implementation=implementation)
    trainer.train(order[:3])
    before, g = trainer.parameters(), trainer.gradients(order[3])
    assert all(np.array_equal(g[name], again) for name, again in trainer.gradients(order[3]).items())
    trainer.train(order[3:4])
    for name, w in trainer.parameters().items():
        np.testing.assert_allclose(before[name] - w, 0.5 * g[name], rtol=0, atol=1e-14)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9])
def test_shipped_dropout_keeps_its_share(rate):
    at = layers.Pass(exact=False, training=True, running={}, noise=jax.random.key(0))
    y, _ = layers.apply((Dropout(rate),), {}, jnp.ones((100, 100)), at)
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)] if rate else [1], rtol=1e-6)
    assert abs(np.mean(y == 0) - rate) < 0.02


def test_running_moments_start_over(make):
    trainer, start, order = make(NORMAL, Recipe(SGD()), BUDGET)
    new = trainer.evaluate("test")
    trainer.train(order)
    assert trainer.evaluate("test") != new
    trainer.reset(start)
    assert trainer.evaluate("test") == new
    mean, variance = (np.array(moment) for moment in trainer.state.running["batch_norm1"])
    assert mean.tolist() == [0] * 6
    assert variance.tolist() == [1] * 6


@pytest.mark.parametrize("implementation", ["exact", "shipped"])
@pytest.mark.parametrize("problem", [NOISY, NORMAL], ids=["dropout", "batch norm"])
def test_only_the_first_step_compiles(make, caplog, problem, implementation):
    trainer, start, order = make(problem, Recipe(SGD()), BUDGET, implementation=implementation)
    trainer.train(order)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        trainer.reset(start)
        trainer.train(order)
        assert not [record for record in caplog.records if "ompil" in record.getMessage()]


def test_other_networks_carry_neither_moments_nor_masks(make):
    model = (Dense(6), Tanh(), LayerNorm(), Dense(10))
    trainer, _, _ = make(Network(DIGITS, model, CrossEntropy()), Recipe(SGD()), BUDGET, implementation="shipped")
    assert jax.tree.leaves((trainer.state.running, trainer.state.key)) == []
