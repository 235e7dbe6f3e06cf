"""The start and the batch order that all backends share."""

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats

from harness.errors import InvalidInput
from harness.problems import task as tasks
from harness.problems.catalogue import CATALOGUE
from harness.problems.initialise import draw
from harness.spec.cell import Budget
from harness.spec.initialisations import Orthogonal, Scaled, SmallNormal, Zeros
from harness.spec.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    Reshape,
    Residual,
    SimpleRNN,
)
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.problem import DataSet, Network, Quadratic

DIGITS = CATALOGUE["digits-64-64-64-10"]


def test_order_visits_every_sample_at_most_once_an_epoch_and_drops_the_rest():
    order = tasks.order(1000, Budget(epochs=2, batch=32), seed=0)
    assert order.shape == (62, 32)
    for epoch in order.reshape(2, -1):
        assert len(set(epoch.tolist())) == 31 * 32
    assert not np.array_equal(order[:31], order[31:])


def test_steps_may_end_within_an_epoch():
    assert tasks.order(100, Budget(steps=7, batch=40), seed=0).shape == (7, 40)


def test_seeds_are_per_axis():
    task = tasks.make(DIGITS.problem)
    other = tasks.make(replace(DIGITS.problem, model=(*DIGITS.problem.model[:-1], Dense(12))))
    start, start_other = tasks.initial(task, 0), tasks.initial(other, 0)
    np.testing.assert_array_equal(start["dense1.weight"], start_other["dense1.weight"])
    again = tasks.initial(task, 1)
    assert not np.array_equal(start["dense1.weight"], again["dense1.weight"])
    assert not np.array_equal(tasks.order(64, DIGITS.budget, 0), tasks.order(64, DIGITS.budget, 1))


def test_biases_start_at_zero_and_weights_of_one_layer_do_not_repeat_in_the_next():
    start = tasks.initial(tasks.make(DIGITS.problem), 0)
    assert all((values == 0).all() for name, values in start.items() if name.endswith("bias"))
    assert not np.array_equal(start["dense1.weight"], start["dense2.weight"])


@pytest.mark.parametrize("distribution", ["normal", "truncated", "uniform"])
@pytest.mark.parametrize(("scheme", "variance"), [("glorot", 2 / 500), ("he", 2 / 200), ("lecun", 1 / 200)])
def test_scaled_initialisations_have_their_variance(scheme, variance, distribution):
    weights = draw(Scaled(scheme, distribution), (200, 300), (200, 300), np.random.default_rng(0))
    # The standard error of a variance estimate from n draws is at most √(2/n) of it (less for lighter tails).
    assert weights.var() == pytest.approx(variance, rel=4 * (2 / weights.size) ** 0.5)
    assert abs(weights.mean()) < 4 * (variance / weights.size) ** 0.5
    z = weights.ravel() / variance**0.5
    law = {
        "normal": stats.norm(),
        "uniform": stats.uniform(-(3**0.5), 2 * 3**0.5),
        "truncated": stats.truncnorm(-2, 2, scale=1 / 0.8796256610342398),
    }[distribution]
    assert stats.kstest(z, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(8, 8), (4, 9), (9, 4)])
def test_orthogonal_has_orthonormal_rows_or_columns(shape):
    q = draw(Orthogonal(2.0), shape, (1, 1), np.random.default_rng(0)) / 2
    gram = q.T @ q if shape[0] >= shape[1] else q @ q.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-14)


def test_small_normal_and_zeros():
    assert (draw(Zeros(), (3, 2), (3, 2), np.random.default_rng(0)) == 0).all()
    assert draw(SmallNormal(0.01), (100, 100), (1, 1), np.random.default_rng(0)).std() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("rotated", [False, True])
def test_quadratic_has_the_condition_number_asked_for(rotated):
    matrix = tasks.make(Quadratic(condition=50.0, dimension=6, rotated=rotated)).constants["matrix"]
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(50)
    assert eigenvalues[0] == pytest.approx(1)
    assert (np.count_nonzero(matrix - np.diag(np.diag(matrix))) > 0) == rotated


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"loss": MeanSquaredError()}, "these are class labels: use cross_entropy"),
        ({"loss": BinaryCrossEntropy()}, "these are class labels: use cross_entropy"),
        ({"model": (Dense(9),)}, "an output for each"),
    ],
)
def test_a_loss_that_does_not_fit_the_data_is_refused(change, says):
    assert isinstance(DIGITS.problem.loss, CrossEntropy)
    with pytest.raises(InvalidInput, match=says):
        tasks.make(replace(DIGITS.problem, **change))


MISSING, PLACES = "is a flatten layer missing", "there is a target at each of the 20 places, and"
AXES = [
    ("cube-2x2x2", CATALOGUE["cube-2x2x2"].problem.model[1:], f"{MISSING} before dense1 (problem.model[0])?"),
    (
        "digits-cnn",
        (Reshape((8, 8, 1)), Conv2D(2), Dense(8), Dense(10)),
        f"{MISSING} before dense1 (problem.model[2])?",
    ),
    ("digits-cnn", (Dense(4), Reshape((2, 2, 1)), Conv2D(10, (1, 1))), f"{MISSING} behind conv2d1 (problem.model[2])?"),
    (
        "digits-cnn",
        (Reshape((8, 8)), GRU(3, sequences=True), Dense(10)),
        f"{MISSING} before dense1 (problem.model[2]), or sequences = false in gru1 (problem.model[1])?",
    ),
    (
        "copy",
        (Embedding(10, 16), GRU(64), Dense(9)),
        f"{PLACES} gru1 (problem.model[1]) makes one of them: give it sequences = true",
    ),
    (
        "copy",
        (Embedding(10, 4), LSTM(8, sequences=True), Flatten(), Dense(9)),
        f"{PLACES} flatten1 (problem.model[2]) makes one of them",
    ),
    ("copy", (Dense(9),), f"{PLACES} keep the places apart, as an embedding and recurrent layers"),
    (
        "adding",
        (LSTM(4, sequences=True), Dense(1)),
        f"{MISSING} before dense1 (problem.model[1]), or sequences = false",
    ),
]


@pytest.mark.parametrize(("name", "model", "says"), AXES)
def test_outputs_of_other_axes_than_the_targets_are_refused_with_what_to_change(name, model, says):
    with pytest.raises(InvalidInput) as caught:
        tasks.make(replace(CATALOGUE[name].problem, model=model))
    assert f": {says}" in str(caught.value)


def test_where_only_the_number_of_outputs_is_wrong_no_axis_is_blamed():
    with pytest.raises(InvalidInput) as caught:
        tasks.make(replace(DIGITS.problem, model=(Dense(9),)))
    assert str(caught.value).endswith("got labels from 0 to 9, outputs (9,)")


@pytest.mark.parametrize("recurrent", [SimpleRNN(3), LSTM(3), GRU(3)], ids=str)
def test_gates_are_drawn_one_by_one(recurrent):
    """Each gate of W has Glorot's bound for its own fans, not for all the gates'; each of U is orthogonal."""
    task = tasks.make(replace(DIGITS.problem, model=(Reshape((8, 8)), recurrent, Dense(10)), initialisation=Scaled()))
    start, name = tasks.initial(task, 0), recurrent.spelling()
    weight, square, bias = (start[f"{name}1.{role}"] for role in ("weight", "recurrent", "bias"))
    gates = weight.shape[1] // 3
    assert 0.8 * (6 / (8 + 3)) ** 0.5 < np.abs(weight).max() <= (6 / (8 + 3)) ** 0.5
    for gate in np.split(square, gates, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(3), atol=1e-14)
    assert len({gate.tobytes() for gate in np.split(square, gates, axis=1)}) == gates
    assert bias.tolist() == ([0.0] * 3 + [1.0] * 3 + [0.0] * 6 if recurrent == LSTM(3) else [0.0] * 3 * gates)


def test_normalisation_starts_as_the_identity_and_filters_have_their_own_fans():
    model = (Reshape((8, 8, 1)), Conv2D(400, (5, 5)), BatchNorm(), Flatten(), Dense(10))
    start = tasks.initial(tasks.make(replace(DIGITS.problem, model=model, initialisation=Scaled("he", "normal"))), 0)
    assert (start["batch_norm1.scale"] == 1).all()
    assert (start["batch_norm1.shift"] == 0).all()
    assert start["conv2d1.weight"].var() == pytest.approx(2 / 25, rel=4 * (2 / 10000) ** 0.5)


def test_labels_become_distributions():
    made = tasks.make(replace(DIGITS.problem, loss=CrossEntropy("one_hot")))
    labels = tasks.make(DIGITS.problem).parts["test"].y
    assert made.parts["test"].y.shape == (len(labels), 10)
    np.testing.assert_array_equal(made.parts["test"].y.argmax(axis=1), labels)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ((Dense(17), Embedding(17, 2), Flatten(), Dense(10)), "only flatten and reshape may stand before it"),
        (
            (Reshape((8, 8)), Residual((Embedding(17, 2), Reshape((16, 8)), Dense(4), Reshape((8, 8)))), Dense(10)),
            r"residual1.embedding1 \(problem.model\[1\].layers\[0\]\) looks up",
        ),
        (
            (Embedding(17, 17), Embedding(17, 17), Flatten(), Dense(10)),
            r"embedding2 \(problem.model\[1\]\) looks up the inputs",
        ),
        ((Embedding(16, 2), Flatten(), Dense(10)), "whole numbers from 0 to 15; data digits .* from 0 to 16"),
    ],
)
def test_embeddings_look_up_inputs_that_are_rows_of_them(model, says):
    with pytest.raises(InvalidInput, match=says):
        tasks.make(Network(DataSet("digits", scaling="none"), model, CrossEntropy()))


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(InvalidInput, match="only 100 training samples"):
        tasks.order(100, Budget(steps=1, batch=101), 0)
