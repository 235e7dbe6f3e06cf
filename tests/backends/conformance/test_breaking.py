"""A number that is not finite, planted at a layer and a step, on the way forward or back, is located exactly."""

from typing import NamedTuple

import pytest

from harness.findings.non_finite import judge
from harness.findings.seen import Seen
from harness.measure import health
from harness.measure.run import Builder
from harness.measure.series import table
from harness.problems import task as tasks
from harness.spec.activations import Tanh
from harness.spec.cell import Budget, Cell
from harness.spec.fault import Put, Scale
from harness.spec.job import Environment, Health, Job
from harness.spec.layers import (
    LSTM,
    Attention,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
)
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Adaptive, ByValue, GlobalNorm, PerTensor, Recipe
from harness.spec.spellings import recipe_label
from harness.store import Record

DIGITS = DataSet("digits", scaling="min_max", training=60)
TOKENS = DataSet("digits", scaling="none", training=60)
ENVIRONMENT = Environment("3.11", {}, "", "", "", 1, {})
NETWORKS = {
    "perceptron": Network(DIGITS, (Dense(9), Tanh(), Dense(7), Tanh(), Dense(6), Tanh(), Dense(10)), CrossEntropy()),
    "convolution": Network(
        DIGITS,
        (Reshape((8, 8, 1)), Conv2D(3), Tanh(), Conv2D(4), Tanh(), MaxPool(), Flatten(), Dense(10)),
        CrossEntropy(),
    ),
    "lstm": Network(DIGITS, (Reshape((8, 8)), LSTM(5, sequences=True), LSTM(4), Dense(10)), CrossEntropy()),
    "transformer": Network(
        TOKENS,
        (
            *(Embedding(17, 6), Position(), Residual((LayerNorm(), Attention(2, causal=True)))),
            *(Residual((LayerNorm(), Dense(8), Tanh(), Dense(6))), GlobalAveragePool(), Dense(10)),
        ),
        CrossEntropy(),
    ),
}


class Back(NamedTuple):
    """The layer to which nothing finite comes back, though all outputs are finite.

    What it gives is exactly 0, for the parameters of ``zero`` are; so are products of 0 and the weights of ``huge``,
    by two of which, the second first, what comes back is multiplied on its way to the layer.
    """

    network: str
    layer: str
    zero: tuple[str, ...]
    huge: tuple[str, ...]


ATTENDING = "residual1.layer_norm1.scale", "residual1.layer_norm1.shift", "residual1.attention1.value_bias"
BACK = [
    Back("perceptron", "tanh1", ("dense1.weight", "dense1.bias", "dense2.bias"), ("dense2.weight", "dense3.weight")),
    Back("perceptron", "tanh2", ("dense2.weight", "dense2.bias", "dense3.bias"), ("dense3.weight", "dense4.weight")),
    Back(
        *("convolution", "tanh1", ("conv2d1.weight", "conv2d1.bias", "conv2d2.bias")),
        ("conv2d2.weight", "dense1.weight"),
    ),
    Back(
        *("lstm", "lstm1", ("lstm1.weight", "lstm1.recurrent", "lstm1.bias", "lstm2.bias")),
        ("lstm2.weight", "dense1.weight"),
    ),
    Back(
        *("transformer", "residual2.tanh1", ("residual2.dense1.weight", "residual2.dense1.bias")),
        ("residual2.dense2.weight", "dense1.weight"),
    ),
    Back(
        *("transformer", "residual1.layer_norm1", ATTENDING),
        ("residual1.attention1.value", "residual1.attention1.output"),
    ),
]
PLAIN = Recipe(Adam(0.01), GlobalNorm(0.5))
CLIPS = [
    Recipe(SGD(0.1)),
    *(Recipe(SGD(0.1), clip) for clip in (GlobalNorm(0.5), PerTensor(0.5), ByValue(-0.1, 0.1), Adaptive())),
]
EACH = Health(every=1, window=1, evaluations=1)
FOURTH = Health(every=4, window=1, evaluations=1)
STEPS = (0, 3, 4)  # of which one is not observed where every fourth step is


@pytest.fixture(scope="module")
def located(name, backend, device):
    """What is said of a run of six steps with these faults planted; one that is compiled serves all of them."""
    builders = {}

    def located(problem, recipe, faults, what=FOURTH, precision="float64"):
        cell = Cell(problem, recipe, Budget(steps=6, batch=16), name, device=device, precision=precision)
        measure = Health(what.level, what.every, what.window, what.evaluations, tuple(faults))
        task = tasks.make(problem)
        builder = builders.setdefault((problem, recipe, precision), Builder(backend))
        outcome = health.measure(builder.open(cell, task, tasks.initial(task, 0)), measure)
        status = "ok" if outcome.diverged is None else "diverged"
        return list(judge(Seen(Record(Job(cell, measure, ENVIRONMENT), status, table=table(outcome.series)))))

    return located


def faults_of(back, step, precision):
    # What comes back through the second alone is far from overflowing, its square too; through both it does.
    factors = (1e34, 1e15) if precision == "float32" else (1e200, 1e150)
    huge = [Scale(step, name, factor) for name, factor in zip(back.huge, factors, strict=True)]
    return [Scale(step, name, 0.0) for name in back.zero] + huge


@pytest.mark.parametrize("network", NETWORKS)
def test_forward_the_layer_and_its_parameter_are_named(located, network):
    for name in tasks.make(NETWORKS[network]).parameters:
        for step in STEPS if name == "dense1.weight" else STEPS[1:2]:
            (found,) = located(NETWORKS[network], PLAIN, [Put(step, name, "nan")])
            assert (found.layer, found.step) == (name.rpartition(".")[0], step), (name, step)
            assert found.why == f"on the way forward: {name} itself is not finite", (name, step)


@pytest.mark.parametrize("back", BACK, ids=lambda back: f"{back.network}-{back.layer}")
def test_back_the_layer_nearest_the_loss_is_named(located, precisions, back):
    for precision in precisions:
        for step in STEPS if precision == precisions[-1] else STEPS[1:2]:
            planted = faults_of(back, step, precision)
            (found,) = located(NETWORKS[back.network], PLAIN, planted, precision=precision)
            assert (found.layer, found.step) == (back.layer, step), (precision, step)
            assert found.why.startswith("on the way back"), (precision, step)


@pytest.mark.parametrize("recipe", CLIPS, ids=recipe_label)
def test_what_a_clip_makes_of_it_does_not_matter(located, recipe):
    """Of an infinite number some make NaN in its place, some everywhere, and clipping by value a finite one."""
    planted = faults_of(BACK[0], 3, "float64")
    (found,) = located(NETWORKS["perceptron"], recipe, planted, EACH)
    assert (found.layer, found.step) == ("tanh1", 3)
    assert found.why.startswith("on the way back")


def test_an_infinite_weight_is_found_too(located):
    """tanh makes 1 of ∞, so that the loss stays finite: the run does not end where it was planted."""
    (found,) = located(NETWORKS["perceptron"], PLAIN, [Put(3, "dense2.weight", "inf")], EACH)
    assert (found.layer, found.step) == ("dense2", 3)
    assert found.why == "on the way forward: dense2.weight itself is not finite"


def test_nothing_is_said_of_finite_numbers(located):
    for network in NETWORKS.values():
        assert located(network, PLAIN, []) == []
