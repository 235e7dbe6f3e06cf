"""What is observed of a step is what the reference observes, and the step is the one that would have been made."""

import numpy as np
import pytest
from msgspec.structs import replace

from harness.measure.agreement import NUDGES, neighbour
from harness.observation import BINS, EDGES, OUTPUTS, SIGNAL, STANDARD, watched
from harness.problems import task as tasks
from harness.spec.activations import Elu, LeakyRelu, Linear, Relu, Selu, Sigmoid, Softplus, Tanh
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
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
    SimpleRNN,
)
from harness.spec.losses import CrossEntropy, MeanSquaredError
from harness.spec.optimizers import LBFGS, SGD, Adam, Lion, Momentum, Muon, ScheduleFree
from harness.spec.problem import Beale, DataSet, Network, NoisyQuadratic
from harness.spec.recipe import L1L2, L2, Adaptive, ByValue, Coupled, Decoupled, GlobalNorm, PerTensor, Recipe
from harness.spec.schedules import Cosine, WarmUp
from harness.spec.spellings import recipe_label

DIGITS = DataSet("digits", scaling="min_max", training=60)
TOKENS = DataSet("digits", scaling="none", training=60)
IMAGE, ROWS = Reshape((8, 8, 1)), Reshape((8, 8))


def digits(*model, data=DIGITS, loss=None):
    return Network(data, model, loss or CrossEntropy())


MLP = digits(Dense(9), Relu(), Dense(7), Tanh(), Dense(6), Sigmoid(), Dense(10))
NETWORKS = {
    "perceptron": MLP,
    "activations": digits(
        *(Dense(5), Elu(0.5), Dense(5), Selu(), Dense(5), Softplus(), Dense(5), LeakyRelu(0.0)),
        *(Dense(5), LeakyRelu(), Dense(5), Linear(), Dense(10)),
        loss=CrossEntropy(reduction="sum"),
    ),
    "convolution": digits(
        *(IMAGE, Conv2D(3), Relu(), MaxPool(), Conv2D(4, (1, 1), padding="same"), BatchNorm(), Relu(), Flatten()),
        Dense(10),
    ),
    "lstm": digits(ROWS, LSTM(5, sequences=True), LSTM(4), Dense(10)),
    "recurrent": digits(ROWS, SimpleRNN(5, "relu", sequences=True), SimpleRNN(4, sequences=True), GRU(3), Dense(10)),
    "transformer": digits(
        *(Embedding(17, 6), Position(), Residual((LayerNorm(), Attention(2, causal=True)))),
        *(Residual((LayerNorm(), Dense(8), Relu(), Dense(6))), GlobalAveragePool(), Dense(10)),
        data=TOKENS,
    ),
    # Layers that only look at their inputs in another way, where two outputs are the same numbers in one place.
    "residuals": digits(
        *(Residual((Linear(), Relu(), Dense(64))), Dense(12), Residual((Linear(),)), Reshape((3, 4))),
        *(Residual((Position(), Dense(4), Linear())), Residual((Residual((Tanh(),)), Dense(4))), Flatten()),
        *(Residual((Reshape((6, 2)), Reshape((12,)))), Dense(10)),
    ),
    "dropout": digits(Dropout(0.2), Dense(9), Relu(), Dropout(0.5), Dense(10)),
    "batch norm": digits(Flatten(), Dense(6, bias=False), BatchNorm(), Relu(), Dropout(0.3), Dense(10)),
    "regression": Network(DataSet("diabetes"), (Dense(5), Tanh(), Dense(1)), MeanSquaredError()),
}
RECIPES = [
    Recipe(SGD(0.1), GlobalNorm(0.3)),
    Recipe(Adam(0.01), PerTensor(0.2), L2(0.01)),
    Recipe(Momentum(0.05), ByValue(-0.01, 0.02), L1L2(), schedule=WarmUp(2, then=Cosine())),
    Recipe(Adam(0.01), Adaptive(), decay=Decoupled(0.1)),
    Recipe(Lion(0.01), decay=Coupled(0.1)),
    Recipe(ScheduleFree()),
    Recipe(Muon()),
    Recipe(LBFGS(), GlobalNorm(1.0)),
]
PLAIN = Recipe(Adam(0.01), GlobalNorm(0.5), L2(1e-3))
BUDGET = Budget(steps=6, batch=16)
STEPS = ("convolution", "lstm", "transformer", "residuals", "dropout")
COUNTED = ("gradient_zeros", "frozen", "gradient_nonfinite", "zeros", "saturated", "nonfinite")


def columns(seen, problem):
    """Every quantity as (steps, tensors or layers), and what its differences are measured by."""
    found = {"loss": seen.loss[:, None], "penalty": seen.penalty[:, None], **seen.tensors, **seen.layers, **seen.active}
    scales = {name: np.abs(np.where(np.isfinite(values), values, 0.0)).max(0) for name, values in found.items()}
    scales["cosine"] = np.ones_like(scales["cosine"])
    if seen.layers:  # a mean may be near 0 by cancellation: it is held against the root of the mean square
        sizes = np.array([layer.size for layer in watched(problem.model, tasks.make(problem).inputs)])
        scales["mean"] = scales["norm"] / np.sqrt(sizes * BUDGET.batch)
    return found, scales


def distances(mine, theirs, problem):
    """Of every quantity, for each tensor or layer: the largest distance of any step. What is not finite is the same."""
    (a, _), (b, scales) = columns(mine, problem), columns(theirs, problem)
    assert a.keys() == b.keys()
    found = {}
    for name, expected in b.items():
        assert a[name].shape == expected.shape, name
        finite = np.isfinite(expected)
        assert np.array_equal(np.isfinite(a[name]), finite), (name, a[name], expected)
        apart = np.abs(np.where(finite, a[name], 0.0) - np.where(finite, expected, 0.0)).max(0)
        found[name] = apart / np.where(scales[name] > 0, scales[name], 1.0)
    return found


def same_as_reference(make, cell):
    """Every quantity of every step, to 1e-12 or 100 times what one ulp of the start does to it in the reference.

    Counts have no such leave: they are the same.
    """
    problem = cell[0]
    (here, start, order), (there, _, _) = make(*cell), make(*cell, on="reference")
    mine, theirs = here.observe(order, "standard"), there.observe(order, "standard")
    responses = []
    for seed in range(NUDGES):
        there.reset(neighbour(start, seed))
        responses.append(distances(there.observe(order, "standard"), theirs, problem))
    nothing = without_gradient(problem.model, tasks.make(problem).inputs) if isinstance(problem, Network) else ()
    kept = np.array([name not in nothing for name in start])
    for name, found in distances(mine, theirs, problem).items():
        compared = kept if name in STANDARD else slice(None)
        response = np.max([each[name] for each in responses], axis=0)[compared]
        allowed = np.maximum(1e-12, 0 if name in COUNTED or name in mine.active else 100 * response)
        assert (allowed < 1e-6).all(), f"{name}: so ill-conditioned that a comparison says nothing"
        assert (found[compared] <= allowed).all(), (name, found[compared], allowed)
    return mine


@pytest.mark.parametrize("network", NETWORKS)
def test_networks(make, network):
    seen = same_as_reference(make, (NETWORKS[network], PLAIN, BUDGET))
    problem = NETWORKS[network]
    layers = tuple(watched(problem.model, tasks.make(problem).inputs))
    assert seen.layers.keys() == {*OUTPUTS, SIGNAL}
    assert np.isfinite(seen.layers[SIGNAL]).tolist() == [[layer.signal for layer in layers]] * 6
    assert np.isfinite(seen.layers["saturated"]).tolist() == [[layer.bounds is not None for layer in layers]] * 6


@pytest.mark.parametrize("recipe", RECIPES, ids=recipe_label)
def test_recipes(make, recipe):
    two_layers = digits(Dense(7), Relu(), Dense(10))
    matrices = isinstance(recipe.optimizer, Muon)
    same_as_reference(make, (two_layers if matrices else NoisyQuadratic(dimension=20), recipe, BUDGET))


def test_a_function_has_tensors_alone(make):
    trainer, _, order = make(Beale(), Recipe(SGD(1e-3)), Budget(steps=3, batch="full"))
    seen = trainer.observe(order, "standard")
    assert seen.layers == seen.active == {}
    assert seen.tensors["gradient_norm"].shape == (3, 1)


@pytest.mark.parametrize(
    ("network", "implementation"), [*((network, "exact") for network in STEPS), ("dropout", "shipped")]
)
def test_an_observed_step_is_the_step(make, name, network, implementation):
    """All observed, none, and by turns: the same run.

    To rounding in JAX and TensorFlow, which fuse what follows on each other where nobody looks between.
    """
    problem = NETWORKS[network]
    nothing = without_gradient(problem.model, tasks.make(problem).inputs)
    ends, losses = [], []
    trainer, start, order = make(problem, PLAIN, BUDGET, implementation=implementation)
    for pattern in ([0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [1, 0, 0, 1, 0, 1], [0, 2, 1, 0, 2, 0]):
        trainer.reset(start)
        found = []
        for kind, row in zip(pattern, order, strict=True):
            given = row[None]
            seen = trainer.observe(given, ("", "standard", "minimal")[kind]) if kind else trainer.train(given)
            found.append(seen.loss[0])
        ends.append(trainer.parameters())
        losses.append(found)
    for end, found in zip(ends[1:], losses[1:], strict=True):
        if name in ("jax", "tensorflow"):
            compared = [n for n in start if n not in nothing]
            assert max(np.abs(end[n] - ends[0][n]).max() / np.abs(ends[0][n] - start[n]).max() for n in compared) < 1e-9
            assert found == pytest.approx(losses[0], rel=1e-9)
        else:
            assert all(np.array_equal(end[n], ends[0][n]) for n in start)
            assert found == losses[0]


@pytest.mark.parametrize("level", ["minimal", "standard"])
@pytest.mark.parametrize("marked", [(0, 3, 5), ()], ids=str)
def test_steps_that_are_looked_at_among_others_in_one_call(make, name, level, marked):
    """As when each is a call of its own, or all are looked at: losses and penalties are of all, the rest of those."""
    cell = (NETWORKS["dropout"], replace(PLAIN, penalty=L2(0.01)), BUDGET)
    (one, _, order), (each, _, _) = make(*cell), make(*cell)
    which = np.isin(np.arange(len(order)), marked)
    seen = one.observe(order, level, which)
    losses, penalties, looked = [], [], []
    for row, wanted in zip(order[:, None], which, strict=True):
        found = each.observe(row, level) if wanted else each.train(row)
        losses.append(found.loss[0])
        penalties.append(found.penalty[0])
        looked += [found] if wanted else []
    rounding = 1e-9 if name in ("jax", "tensorflow") else 0
    assert seen.loss == pytest.approx(losses, rel=rounding)
    assert seen.penalty == pytest.approx(penalties, rel=rounding)
    for quantity, values in seen.tensors.items():
        expected = np.concatenate([one.tensors[quantity] for one in looked]) if looked else values[:0]
        assert values == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True), quantity
    assert [len(values) for values in seen.layers.values()] == [len(marked)] * len(seen.layers)
    assert one.parameters()["dense1.weight"] == pytest.approx(each.parameters()["dense1.weight"], rel=1e-6, abs=1e-12)


def test_more_steps_than_a_block_holds_are_looked_at_where_they_are_marked(make):
    cell = (MLP, RECIPES[2], Budget(steps=300, batch=4))
    (some, _, order), (plain, _, _) = make(*cell), make(*cell)
    which = np.arange(300) % 7 == 3
    seen, steps = some.observe(order, "standard", which), plain.train(order)
    assert seen.loss == pytest.approx(steps.loss, rel=1e-6)
    assert seen.tensors["gradient_norm"] == pytest.approx(steps.norms[which], rel=1e-6)


def test_minimal_is_the_first_of_standard_and_what_train_gives(make):
    cell = (MLP, RECIPES[2], BUDGET)
    (least, _, order), (whole, _, _), (plain, _, _) = (make(*cell) for _ in range(3))
    few, many, steps = least.observe(order, "minimal"), whole.observe(order, "standard"), plain.train(order)
    assert few.layers == few.active == {}
    assert list(few.tensors) == ["gradient_norm", "clipped_norm"]
    for name in few.tensors:
        assert few.tensors[name] == pytest.approx(many.tensors[name], rel=1e-12)
    assert few.tensors["gradient_norm"] == pytest.approx(steps.norms, rel=1e-12)
    assert few.penalty == pytest.approx(steps.penalty, rel=1e-12)


@pytest.mark.parametrize("network", ["perceptron", "convolution", "recurrent", "transformer", "residuals"])
def test_full_is_standard_and_histograms(make, network):
    cell = (NETWORKS[network], PLAIN, Budget(steps=2, batch=16))
    (whole, _, order), (standard, _, _), (theirs, _, _) = make(*cell), make(*cell), make(*cell, on="reference")
    full, less, expected = (
        trainer.observe(order, level) for trainer, level in ((whole, "full"), (standard, "standard"), (theirs, "full"))
    )
    assert less.histograms == {}
    for of in ("tensors", "layers", "active"):
        for name, values in getattr(less, of).items():
            np.testing.assert_allclose(getattr(full, of)[name], values, rtol=1e-9, atol=1e-12, err_msg=name)
    layers = list(watched(cell[0].model, tasks.make(cell[0]).inputs))
    moved_by_rounding = network == "convolution"  # a bias before a batch norm, in the first step
    assert list(full.histograms) == [layer.name for layer in layers]
    for i, layer in enumerate(layers):
        shares = full.histograms[layer.name]
        assert shares.shape == (2, BINS + 2)
        assert (shares >= 0).all()
        assert shares.sum(axis=1) == pytest.approx([1, 1], rel=1e-12)
        assert shares[:, -2] == pytest.approx(full.layers["zeros"][:, i])
        # What lies on an edge but for rounding may be counted on its other side.
        off = np.abs(np.cumsum(shares - expected.histograms[layer.name], axis=1)).max(axis=1)
        assert (off[: 1 if moved_by_rounding else 2] < 1.5 / (16 * layer.size)).all(), layer.name


def test_each_number_is_in_its_bin(make):
    """Of an identity, whose outputs are the data: all edges, what is beyond them, and between; −0 is 0."""
    problem = Network(DataSet("iris", scaling="none"), (Linear(), Dense(3)), CrossEntropy())
    trainer, start, order = make(problem, Recipe(SGD(0.1)), Budget(steps=1, batch=16))
    x = tasks.make(problem).parts["training"].x[order[0]]
    seen = trainer.observe(order, "full").histograms["linear1"][0] * x.size
    bins = np.histogram(x, [-np.inf, *EDGES, np.inf])[0]
    assert seen[:BINS].tolist() == bins.tolist()
    assert {1.0, 0.5, 4.0} & set(x.ravel())  # some lie on edges
    trainer.reset({"dense1.weight": -np.abs(start["dense1.weight"]) * 2.0**20, "dense1.bias": np.array([0, 0, np.nan])})
    seen = trainer.observe(order, "full").histograms["dense1"][0] * 48
    assert (seen[0], seen[-2], seen[-1], seen.sum()) == (32, 0, 16, 48)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_each_edge_and_its_neighbours_are_on_their_side(make, precisions, precision):
    """Outputs that are a bias, whatever the sample: each edge, the numbers right below and above it, extremes."""
    if precision not in precisions:
        pytest.skip(f"has no {precision}")
    kind = np.finfo(precision)
    edges = np.array(EDGES, precision)
    near = [np.nextafter(edges, to, dtype=precision) for to in (-np.inf, np.inf)]
    numbers = np.unique(np.concatenate([edges, *near, [kind.tiny, -kind.tiny, 3.0**20, -(3.0**20)]]).astype(precision))
    numbers = numbers[(numbers == 0) | (np.abs(numbers) >= kind.tiny)]  # less may be taken for 0
    problem = Network(DataSet("iris"), (Dense(numbers.size), Dense(3)), CrossEntropy())
    trainer, start, order = make(problem, Recipe(SGD(0.1)), Budget(steps=1, batch=16), precision=precision)
    weight = np.zeros_like(start["dense1.weight"])
    trainer.reset(start | {"dense1.weight": weight, "dense1.bias": numbers.astype(np.float64)})
    seen = trainer.observe(order, "full").histograms["dense1"][0] * numbers.size
    zeros = np.count_nonzero(numbers == 0)
    expected = np.bincount(np.searchsorted(EDGES, numbers[numbers != 0], side="right"), minlength=BINS)
    np.testing.assert_allclose(seen, [*expected, zeros, 0], rtol=1e-12, atol=1e-12)


def test_one_block_is_its_steps_one_by_one(make):
    """Of one trainer: a second observation of the same steps, and the gradient that a reset forgets."""
    trainer, start, order = make(MLP, PLAIN, BUDGET)
    together = trainer.observe(order, "standard")
    assert np.isnan(together.tensors["cosine"][0]).all()
    assert np.isfinite(together.tensors["cosine"][1:]).all()
    trainer.reset(start)
    single = [trainer.observe(row[None], "standard") for row in order]
    for of in ("tensors", "layers", "active"):
        for name, values in getattr(together, of).items():
            apart = np.concatenate([getattr(one, of)[name] for one in single])
            assert np.array_equal(apart, values, equal_nan=True), name


def test_an_empty_block_is_nothing(make):
    trainer, _, order = make(MLP, PLAIN, BUDGET)
    seen = trainer.observe(order[:0], "standard")
    assert seen.loss.shape == (0,)
    assert seen.tensors["frozen"].shape == (0, 8)


def test_a_norm_whose_square_is_nothing(make, precisions):
    """In float32 the square of 1e-25 is 0: a vanishing gradient would look like none."""
    if "float32" not in precisions:
        pytest.skip("has no float32")
    tiny = Network(DataSet("iris"), (Dense(5), Linear(), Dense(3)), CrossEntropy())
    trainer, start, order = make(tiny, Recipe(SGD(0.1)), BUDGET, precision="float32")
    shrunk = {name: w * (1e-25 if name == "dense2.weight" else 1.0) for name, w in start.items()}
    trainer.reset(shrunk)
    seen = trainer.observe(order[:1], "standard")
    theirs, _, _ = make(tiny, Recipe(SGD(0.1)), BUDGET, on="reference")
    theirs.reset(shrunk)
    expected = theirs.observe(order[:1], "standard")
    assert 0 < expected.tensors["gradient_norm"][0, 0] < 1e-20
    for name in ("gradient_norm", "clipped_norm", "weight_norm", "gradient_max"):
        assert seen.tensors[name] == pytest.approx(expected.tensors[name], rel=1e-4, abs=0), name
    for name in (SIGNAL, "norm"):
        assert seen.layers[name] == pytest.approx(expected.layers[name], rel=1e-4, abs=0), name
    assert seen.tensors["frozen"][0, :2].tolist() == [1.0, 0.0]  # 1e-26 moves no weight, but a bias that is 0


def test_what_is_not_finite_is_counted(make):
    trainer, start, order = make(MLP, Recipe(SGD(0.1)), BUDGET)
    broken = {name: w.copy() for name, w in start.items()}
    broken["dense2.weight"][0, 0] = np.nan
    trainer.reset(broken)
    seen = trainer.observe(order[:1], "standard")
    names = [layer.name for layer in watched(MLP.model, tasks.make(MLP).inputs)]
    first = next(name for name, count in zip(names, seen.layers["nonfinite"][0], strict=True) if count)
    assert first == "dense2"
    assert seen.layers["nonfinite"][0, names.index("dense2")] == 16  # one unit, in all samples
    assert np.isnan(seen.loss[0])
    assert seen.tensors["gradient_nonfinite"][0].tolist() == [64 * 9, 9, 9 * 7, 7, 7 * 6, 6, 60, 10]
    assert np.isnan(seen.tensors["gradient_max"][0]).all()
