"""Runs whose arrays are not NumPy's: the same to the last bit, with nothing on the host that belongs beside them.

The arrays of ``tests/elsewhere.py`` refuse what CuPy refuses; what is proved here needs no GPU. What a GPU computes is
proved on one: ``test_cuda.py``, and ``pytest tests/backends --backend numpy --device cuda``.
"""

import numpy as np
import pytest

from backends.numpy import device as devices
from backends.numpy.dropout import Drawn
from backends.numpy.flat import HERE, Flat
from backends.numpy.update import Update
from harness.problems import catalogue
from harness.problems import task as tasks
from harness.spec.activations import ACTIVATIONS, Gelu, LeakyRelu, Linear, Relu, Tanh
from harness.spec.base import Piece
from harness.spec.cell import Budget, Cell
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
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError
from harness.spec.optimizers import LAMB, LARS, LBFGS, OPTIMIZERS, Adafactor, Adam, Muon, Rprop
from harness.spec.problem import Beale, DataSet, Network, NoisyQuadratic, Quadratic, RandomGradients, Rosenbrock
from harness.spec.recipe import CLIPS, L1L2, Adaptive, Coupled, Decoupled, GlobalNorm, NoDecay, PerTensor, Recipe
from harness.spec.schedules import Step
from harness.spec.spellings import short
from harness.spec.variants import variants
from tests.elsewhere import Elsewhere, Place

IMAGE, ROWS = Reshape((8, 8, 1)), Reshape((8, 8))
MODELS = {
    "dense": (Dense(9), Relu(), Dense(70), *(kind() for kind in ACTIVATIONS), Gelu("tanh"), LeakyRelu(1.5)),
    "image": (
        *(IMAGE, Conv2D(3), BatchNorm(), Relu(), MaxPool((3, 3), (2, 2), "same")),
        *(
            Conv2D(4, (2, 3), (2, 1), "same"),
            AveragePool((2, 2), (1, 1), "same"),
            Conv2D(2, (1, 1)),
            MaxPool(),
            Flatten(),
        ),
    ),
    "tiles": (IMAGE, MaxPool(), Conv2D(2), AveragePool((1, 2), (2, 3)), GlobalAveragePool()),
    "sequence": (
        *(ROWS, GRU(3, sequences=True), GRU(4, True, "before"), SimpleRNN(3, sequences=True), LSTM(4, True)),
        *(SimpleRNN(3, "relu", True), LSTM(3)),
    ),
    "transformer": (
        *(ROWS, Dropout(0.1), Position(), Residual((LayerNorm(), Attention(2, causal=True))), LayerNorm()),
        *(Residual((Residual((Linear(),)), Tanh())), Attention(4), Flatten(), Dropout(0.5)),
    ),
}
LOSSES = {
    "digits": (10, CrossEntropy(), CrossEntropy("one_hot")),
    "breast_cancer": (1, BinaryCrossEntropy()),
    "diabetes": (1, MeanSquaredError(), MeanAbsoluteError(), Huber(0.2)),
}


def digits(*model, scaling="min_max"):
    return Network(DataSet("digits", scaling=scaling, training=60), (*model, Dense(10)), CrossEntropy())


@pytest.fixture
def both(backend, monkeypatch):
    """A trainer on the host, one elsewhere, and the batch order."""

    def both(problem, recipe, precision="float32", implementation="exact", budget=None):
        cell = Cell(problem, recipe, budget or Budget(steps=6, batch=5), "numpy", implementation, precision=precision)
        task = tasks.make(problem)
        start, order = tasks.initial(task, 0), tasks.order(task.samples, cell.budget, 0)
        made = []
        for find in (devices.find, lambda name: Place()):
            monkeypatch.setattr(devices, "find", find)
            made.append(backend.trainer(cell, task, start, len(order), observe=True))
        return *made, order, start

    return both


def equal(mine, theirs):
    return mine.keys() == theirs.keys() and all(
        np.array_equal(mine[name], w, equal_nan=True) for name, w in theirs.items()
    )


def check(here, there, order):
    """Gradients, losses, norms, evaluation and the weights that training ends at."""
    assert equal(there.gradients(order[0]), here.gradients(order[0]))
    apart = 1e-12 if here.dtype == np.float64 else 1e-5  # summed in another order; float32 on the host as it is
    mine, theirs = there.train(order), here.train(order)
    assert np.array_equal(mine.loss, theirs.loss, equal_nan=True)
    np.testing.assert_allclose(mine.penalty, theirs.penalty, rtol=1e-6)
    np.testing.assert_allclose(mine.norms, theirs.norms, rtol=apart)
    assert equal(there.parameters(), here.parameters())
    for part in here.parts:
        assert there.evaluate(part) == here.evaluate(part)
    assert all(type(array) is np.ndarray for array in (mine.loss, mine.penalty, mine.norms))
    for level in ("minimal", "standard"):
        for trainer in (here, there):
            trainer.reset(trainer.parameters())
        mine, theirs = there.observe(order[:2], level), here.observe(order[:2], level)
        assert np.array_equal(mine.loss, theirs.loss, equal_nan=True)
        for one, other in ((mine.tensors, theirs.tensors), (mine.layers, theirs.layers), (mine.active, theirs.active)):
            assert one.keys() == other.keys()
            for name in one:  # a cosine may be near 0
                np.testing.assert_allclose(one[name], other[name], rtol=apart, atol=apart if name == "cosine" else 0)
    assert equal(there.parameters(), here.parameters())


def waits_for_nothing(there, order):
    """No number is read back in a block of steps."""
    Elsewhere.reads = 0
    there.train(order)
    assert Elsewhere.reads == 0


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("implementation", ["exact", "shipped"])
@pytest.mark.parametrize("model", MODELS)
def test_every_layer(both, model, implementation, precision):
    here, there, order, start = both(digits(*MODELS[model]), Recipe(Adam()), precision, implementation)
    check(here, there, order)
    there.reset(start)
    here.reset(start)
    assert np.array_equal(there.train(order).loss, here.train(order).loss)


@pytest.mark.parametrize("vocabulary", [64, 65])
def test_embeddings_of_few_and_many_rows(both, vocabulary):
    problem = digits(Embedding(vocabulary, 3), Flatten(), scaling="none")
    check(*both(problem, Recipe(Adam()))[:3])


@pytest.mark.parametrize(
    ("data", "units", "loss"),
    [(data, units, loss) for data, (units, *losses) in LOSSES.items() for loss in losses],
    ids=lambda value: short(value) if isinstance(value, Piece) else str(value),
)
def test_every_loss(both, data, units, loss):
    here, there, order, _ = both(Network(DataSet(data), (Dense(7), Tanh(), Dense(units)), loss), Recipe(Adam()))
    check(here, there, order)
    waits_for_nothing(there, order)


@pytest.mark.parametrize("known", catalogue.CATALOGUE)
def test_every_case_of_the_catalogue(both, known):
    case = catalogue.case(known)
    full = case.budget.batch == "full"
    budget = Budget(steps=2, batch="full" if full else min(4, case.budget.batch))
    check(*both(case.problem, case.recipe, "float64", budget=budget)[:3])


FUNCTIONS = [
    Rosenbrock(),
    Beale(),
    Quadratic(),
    NoisyQuadratic(),
    RandomGradients(samples=8, parameters=200, tensors=4),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.spelling())
def test_every_function(both, function):
    here, there, order, _ = both(function, Recipe(Adam()), budget=Budget(steps=5, batch="full"))
    check(here, there, order)
    waits_for_nothing(there, order)


SHAPES = {"a.weight": (13, 11), "a.bias": (11,), "b.weight": (11, 7), "b.bias": (7,), "c.weight": (3, 3, 2, 4)}
VARIANTS = [variant for kind in OPTIMIZERS for variant in variants(kind)]
DECAYS = [NoDecay(), Decoupled(0.1, scaled_by="schedule", on=("a.bias", "b.weight")), Coupled(0.1)]


def updated(recipe, like):
    """Weights, their mean and what is kept after some steps."""
    rng = np.random.default_rng(0)
    w, g = (Flat(SHAPES, np.dtype("float32"), like) for _ in range(2))
    w.vector[...] = np.asarray(rng.standard_normal(w.vector.size), like=like)
    update = Update(recipe, w, g, 6)
    for _ in range(6):
        g.vector[...] = np.asarray(rng.standard_normal(g.vector.size), like=like)
        update()
    return *(
        v.inside if isinstance(v, Elsewhere) else v for v in (w.vector, update.evaluated_at())
    ), update.state_bytes()


@pytest.mark.parametrize("decay", DECAYS, ids=short)
@pytest.mark.parametrize("optimizer", VARIANTS, ids=short)
def test_every_variant_of_every_optimizer(optimizer, decay):
    recipe = Recipe(optimizer, decay=decay, schedule=Step(2, 0.3))
    here, there = (updated(recipe, like) for like in (HERE, Place().like))
    assert np.array_equal(there[0], here[0])
    assert np.array_equal(there[1], here[1])
    assert there[2] == here[2]


@pytest.mark.parametrize("clip", [variant for kind in CLIPS for variant in variants(kind)], ids=short)
def test_every_clip(clip):
    here, there = (updated(Recipe(Adam(), clip), like) for like in (HERE, Place().like))
    assert np.array_equal(there[0], here[0])


@pytest.mark.parametrize("steps", [3, 30])
def test_training_waits_at_its_end_only(both, steps):
    """The loss, the penalty and the norms stay where they are until the block is over; the fences are its fetches."""
    model = MODELS["dense"]
    budget = Budget(steps=steps, batch=5)
    _, there, order, _ = both(digits(*model), Recipe(Adam(), penalty=L1L2(0.1, 0.1)), budget=budget)
    Elsewhere.reads, there.device.fences = 0, 0
    there.train(order)
    assert (Elsewhere.reads, there.device.fences) == (0, 3)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_computed_in_place_is_named_once(both, model):
    """Of two views of one place CuPy copies the one that is read, for they might overlap otherwise than they do."""
    _, there, order, _ = both(digits(*MODELS[model]), Recipe(Adam()))
    Elsewhere.copies = 0
    there.train(order)
    assert Elsewhere.copies == 0


# What docs/gpu.md tells of: who reads a number back in each step, so that the host waits.
WAITING = [
    (Recipe(Adam(), GlobalNorm(0.1)), 1),
    (Recipe(Adam(), PerTensor(0.1)), 4),
    (Recipe(Adam(), Adaptive(0.1)), 0),
    (Recipe(LARS()), 8),
    (Recipe(LAMB()), 8),
    (Recipe(Adafactor()), 8),
    (Recipe(Adafactor(relative=False)), 4),
    (Recipe(Muon()), 2),
    (Recipe(Rprop()), 0),
]


@pytest.mark.parametrize(
    ("recipe", "reads"), WAITING, ids=[f"{short(r.optimizer)}-{short(r.clip)}" for r, _ in WAITING]
)
def test_who_waits_in_each_step(both, recipe, reads):
    _, there, order, _ = both(digits(Dense(9)), recipe, budget=Budget(steps=10, batch=5))
    Elsewhere.reads = 0
    there.train(order)
    assert Elsewhere.reads == 10 * reads


@pytest.mark.parametrize("phase", ["forward", "gradient", "penalty", "clip", "update"])
def test_a_phase_fences_before_its_clock_starts_and_at_its_end(both, phase):
    recipe = Recipe(Adam(), GlobalNorm(0.1), L1L2(0.1, 0.1))
    here, there, order, _ = both(digits(*MODELS["dense"]), recipe)
    there.device.fences = 0
    go = there.phase(phase, order)
    assert there.device.fences == 1
    go()
    assert there.device.fences == 2
    here.phase(phase, order)()
    assert equal(there.parameters(), here.parameters())


def test_what_returns_has_fenced(both):
    _, there, order, start = both(digits(*MODELS["dense"]), Recipe(LBFGS()))
    calls = (
        lambda: there.reset(start),
        lambda: there.gradients(order[0]),
        lambda: there.evaluate("test"),
        there.parameters,
    )
    for call in calls:
        there.device.fences = 0
        call()
        assert there.device.fences > 0


def test_own_masks_are_not_used_up_by_a_look(both):
    _, there, order, _ = both(digits(*MODELS["transformer"]), Recipe(Adam()), implementation="shipped")
    assert isinstance(there.masks, Drawn)
    on = there.objective(5)
    for row in order:
        there.gradients(row)
        looked = {name: mask.inside.copy() for name, mask in on.masks.items()}
        there.train(row[None])
        assert all(np.array_equal(looked[name], mask.inside) for name, mask in on.masks.items())
