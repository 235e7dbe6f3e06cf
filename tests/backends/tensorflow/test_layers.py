"""Layers: what no network of the conformance tests reaches, and where Keras's own are others than the spec's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from backends.reference import activations as formulas
from backends.reference import losses as loss_formulas
from backends.tensorflow import activations, losses
from harness.spec.activations import ACTIVATIONS, Elu, Gelu, Selu, Softmax
from harness.spec.architecture import without_gradient
from harness.spec.cell import Budget
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    Reshape,
    SimpleRNN,
)
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, Muon
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe

BUDGET = Budget(steps=12, batch=8)
RECIPE = Recipe(SGD(0.125))
ROWS = Reshape((8, 8))


def digits(*model, scaling="min_max"):
    return Network(DataSet("digits", scaling=scaling, training=60), (*model, Dense(10)), CrossEntropy())


@pytest.fixture
def distance(make):
    """Of the gradient of a first batch from the reference's, over each tensor's largest element; the largest."""

    def distance(problem, **words):
        mine, _, order = make(problem, RECIPE, BUDGET, **words)
        theirs, _, _ = make(problem, RECIPE, BUDGET, on="reference")
        ours, exact = mine.gradients(order[0]), theirs.gradients(order[0])
        some = set(exact) - without_gradient(problem.model, (64,))
        return max(np.abs(ours[name] - exact[name]).max() / np.abs(exact[name]).max() for name in some)

    return distance


@pytest.fixture
def double(backend):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


@pytest.mark.parametrize("spec", [*(kind() for kind in ACTIVATIONS), Elu(0.3), Elu(2.7), Gelu("tanh")], ids=str)
def test_activations_at_kinks_and_far_out(double, spec):
    z = np.concatenate([[0.0, -0.0, 1e-300, -1e-9, 1e-9], np.linspace(-30, 30, 115)])
    z = np.stack([z, np.roll(z, 1), z[::-1]])
    delta = np.cos(np.arange(z.size)).reshape(z.shape)
    x = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = activations.layer(spec, "phi", exact=True)(x)
    g = tape.gradient(y, x, output_gradients=tf.constant(delta))
    tolerance = {"rtol": 1e-14, "atol": 1e-12 if isinstance(spec, Softmax) else 1e-14}
    np.testing.assert_allclose(y, formulas.forward(spec, z), **tolerance)
    np.testing.assert_allclose(g, formulas.backward(spec, z, delta), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    "layers",
    [
        (Reshape((4, 4, 2, 2)), GlobalAveragePool()),
        (Reshape((2, 2, 2, 4, 2)), GlobalAveragePool()),
        (Flatten(), Reshape((8, 8, 1)), Conv2D(2, padding="same"), MaxPool((3, 2), (1, 2), "same"), Flatten()),
    ],
)
@pytest.mark.parametrize(("precision", "bound"), [("float64", 1e-13), ("float32", 1e-5)])
def test_odd_shapes(distance, layers, precision, bound):
    assert distance(digits(*layers), precision=precision) < bound


# What Keras ships is another formula by so much, or the same.
SHIPPED = [
    ((ROWS, SimpleRNN(3, "relu", sequences=True), LSTM(3)), 0, 1e-13),  # unrolled
    ((ROWS, GRU(3, sequences=True), GRU(2, reset="before")), 0, 1e-13),
    ((ROWS, Attention(2), Flatten()), 0, 1e-13),  # 1/√4 is no other number in float32
    ((ROWS, Attention(2, size=3), Flatten()), 1e-11, 1e-6),
    ((Dense(8), Gelu()), 1e-11, 1e-7),
    ((Dense(8), Gelu("tanh")), 1e-11, 1e-7),
    ((Dense(8), Selu(), BatchNorm()), 0, 1e-12),
]


@pytest.mark.parametrize(("layers", "least", "most"), SHIPPED)
def test_shipped_is_as_close_as_told(distance, layers, least, most):
    assert least <= distance(digits(*layers), implementation="shipped") < most


def test_shipped_batch_norm_averages_the_biased_variance(run):
    words, formula = (digits(Dense(6), BatchNorm(0.8, running=kind)) for kind in ("unbiased", "biased"))
    shipped = run(words, RECIPE, BUDGET, implementation="shipped").trainer.evaluate("test")
    assert shipped == pytest.approx(run(formula, RECIPE, BUDGET, on="reference").trainer.evaluate("test"), rel=1e-12)
    theirs = run(words, RECIPE, BUDGET, on="reference").trainer.evaluate("test")
    assert shipped.loss != pytest.approx(theirs.loss, rel=1e-5)


def test_shipped_dropout_keeps_its_share(make):
    """Of 784 ones kept with probability 0.25 and scaled by 4; in inference all are kept."""
    problem = Network(DataSet("digits", scaling="none"), (Dense(784), Dropout(0.75), Dense(10)), CrossEntropy())
    trainer, _, _ = make(problem, RECIPE, BUDGET, implementation="shipped")
    dropout, ones = trainer.model.layers["dropout1"], tf.ones((1, 784), tf.float64)
    drawn = dropout(ones, training=True).numpy()
    assert set(np.unique(drawn)) == {0.0, 4.0}
    assert abs((drawn > 0).mean() - 0.25) < 0.08  # five standard deviations
    assert (dropout(ones, training=False).numpy() == 1).all()


def test_shipped_dropout_repeats_itself_and_is_not_moved_by_a_look(make):
    trainer, start, order = make(digits(Dropout(0.3), Dense(8), Dropout(0.6)), RECIPE, BUDGET, implementation="shipped")
    first = trainer.train(order).loss.tolist()
    trainer.reset(start)
    looked = [trainer.gradients(order[0]) for _ in range(2)]
    assert trainer.train(order).loss.tolist() == first
    trainer.reset(start)
    trainer.train(order[:1])
    for name, w in trainer.parameters().items():
        assert np.array_equal(looked[0][name], looked[1][name])
        np.testing.assert_allclose(start[name] - w, RECIPE.optimizer.lr * looked[0][name], rtol=0, atol=1e-15)
    trainer.train(order[1:2])
    assert not np.array_equal(trainer.gradients(order[0])["dense1.weight"] == 0, looked[0]["dense1.weight"] == 0)


def test_masks_and_moments_do_not_trace_again(make):
    trainer, start, order = make(digits(Dense(6), BatchNorm(), Dropout()), RECIPE, BUDGET)
    for _ in range(2):
        trainer.observe(order[:1], "standard")
        trainer.train(order[1:3])
        trainer.train(order[3:])
        for part in ("training", "validation", "test"):
            trainer.evaluate(part)
        trainer.reset(start)
    functions = trainer._step, trainer._evaluation, trainer.observers["standard"].function
    assert [function.experimental_get_tracing_count() for function in functions] == [1, 1, 1]


def test_muon_takes_embeddings_for_matrices(run):
    problem, budget = digits(Embedding(17, 2), Flatten(), scaling="none"), Budget(steps=1, batch=8)
    recipe = Recipe(Muon(scale="rms"))
    shipped = run(problem, recipe, budget, implementation="shipped").trainer.parameters()
    theirs = run(problem, recipe, budget, on="reference").trainer.parameters()
    for name in ("embedding1.weight", "dense1.weight"):
        np.testing.assert_allclose(shipped[name], theirs[name], rtol=0, atol=1e-7)


def test_distributions_that_sum_to_less(double):
    """∂L/∂z = Σp·softmax z − p in exact; what TensorFlow fuses takes Σp for 1."""
    z, p = np.random.default_rng(0).normal(size=(2, 3, 4)), np.full((2, 3, 4), 0.2)
    spec, found = CrossEntropy("one_hot"), {}
    for exact in (True, False):
        x = tf.constant(z)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = losses.loss(spec, x, tf.constant(p), exact)
        found[exact] = tape.gradient(loss, x).numpy()
        assert float(loss) == pytest.approx(loss_formulas.value(spec, z, p), rel=1e-14)
    theirs = loss_formulas.gradient(spec, z, p)
    np.testing.assert_allclose(found[True], theirs, rtol=1e-13)
    assert np.abs(found[False] - theirs).max() > 0.1 * np.abs(theirs).max()
