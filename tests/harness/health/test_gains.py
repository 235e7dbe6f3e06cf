"""What theory expects of a network's start against the gradients that the reference computes there."""

import math

import numpy as np
import pytest

from backends.reference.layers import Pass, backpropagate, propagate
from harness import registry
from harness.health.dead import born_dead
from harness.health.gains import expected
from harness.problems import task as tasks
from harness.problems.initialise import start
from harness.spec.activations import Gelu, LeakyRelu, Linear, Mish, Relu, Selu, Sigmoid, Softmax, Softplus, Swish, Tanh
from harness.spec.architecture import parameters
from harness.spec.cell import Budget, Cell
from harness.spec.initialisations import Orthogonal, Scaled, SmallNormal, Zeros
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
from harness.spec.optimizers import SGD
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe

HE, LECUN, GLOROT = (Scaled(scheme, "normal") for scheme in ("he", "lecun", "glorot"))
REFERENCE = registry.find("reference").open(1)
BATCH, SEEDS, WIDTH = 12, 16, 160
DIGITS, TOKENS = DataSet("digits"), DataSet("digits", scaling="none")
IMAGE, ROWS = Reshape((8, 8, 1)), Reshape((8, 8))


def gradients(problem, batch=BATCH, seeds=SEEDS):
    """‖∂L/∂θ‖² of each parameter on the first samples, from each seed."""
    task, rows = tasks.make(problem), np.arange(batch, dtype=np.int32)
    cell = Cell(problem, Recipe(SGD()), Budget(steps=1, batch=batch), "reference", precision="float64")
    found = []
    for seed in range(seeds):
        trainer = REFERENCE.trainer(cell, task, tasks.initial(task, seed), 1, True)
        found.append({name: np.sum(g**2) for name, g in trainer.gradients(rows).items()})
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def predicted(problem, batch=BATCH):
    part = tasks.make(problem).parts["training"]
    return expected(problem, part.x[:batch], part.y[:batch])


def dense(activation, depth=3):
    return (*(Dense(WIDTH), activation) * depth, Dense(10))


# Each with the initialisation of weights and of recurrent ones.
NETWORKS = {
    **{
        a.spelling(): (dense(a), LECUN, None)
        for a in (Linear(), Sigmoid(), Tanh(), Softplus(), Swish(), Mish(), Selu())
    },
    "relu": (dense(Relu()), HE, None),
    "leaky relu": (dense(LeakyRelu(0.2)), Scaled("he", "uniform"), None),
    "gelu": (dense(Gelu()), Scaled("he", "truncated"), None),
    "glorot": ((Dense(80), Tanh(), Dense(240), Tanh(), Dense(10)), GLOROT, None),
    "orthogonal": ((Dense(80), Tanh(), Dense(240), Relu(), Dense(10)), Orthogonal(1.2), None),
    "too small": (dense(Tanh()), SmallNormal(0.01), None),
    "too large": (dense(Tanh()), SmallNormal(0.5), None),
    "batch norm": ((*(Dense(WIDTH, False), BatchNorm(), Tanh()) * 4, Dense(10)), LECUN, None),
    "batch norm, relu": ((*(Dense(WIDTH, False), BatchNorm(), Relu()) * 4, Dense(10)), HE, None),
    "layer norm": ((*(Dense(WIDTH), LayerNorm(), Relu()) * 3, Dense(10)), HE, None),
    "relu, layer norm": ((*(Dense(WIDTH), Relu(), LayerNorm()) * 3, Dense(10)), HE, None),
    "dropout": ((*(Dense(WIDTH), Relu(), Dropout(0.3)) * 2, Dense(10)), HE, None),
    "residual": ((Dense(WIDTH), *(Residual((Dense(WIDTH), Relu(), Dense(WIDTH))),) * 4, Dense(10)), LECUN, None),
    "residual sigmoids": ((Dense(WIDTH), *(Residual((Dense(WIDTH), Sigmoid())),) * 4, Dense(10)), LECUN, None),
    "convolutions": (
        (IMAGE, Conv2D(40, padding="same"), Relu(), Conv2D(40, (3, 2), (2, 1)), Tanh(), Flatten(), Dense(10)),
        HE,
        None,
    ),
    "max pool": ((IMAGE, Conv2D(48), Relu(), MaxPool(), Conv2D(48, (2, 2)), Relu(), Flatten(), Dense(10)), HE, None),
    "mean pool": (
        (
            IMAGE,
            Conv2D(48, padding="same"),
            AveragePool((3, 3), (2, 2), "same"),
            Relu(),
            Conv2D(48),
            Relu(),
            GlobalAveragePool(),
            Dense(10),
        ),
        HE,
        None,
    ),
    "a block of a resnet": (
        (
            IMAGE,
            Conv2D(48, strides=(2, 2), bias=False),
            BatchNorm(),
            Relu(),
            Residual((Conv2D(48, padding="same", bias=False), BatchNorm())),
            Relu(),
            MaxPool((3, 3)),
            Flatten(),
            Dense(10),
        ),
        HE,
        None,
    ),
    "flat": (
        (IMAGE, Conv2D(24, strides=(2, 2)), Flatten(), BatchNorm(), Relu(), Dense(WIDTH), Tanh(), Dense(10)),
        HE,
        None,
    ),
    "places": ((ROWS, Dense(WIDTH), Position(), LayerNorm(), Gelu(), Flatten(), Dense(10)), LECUN, None),
    "attention": (
        (
            ROWS,
            Dense(96),
            Position(),
            Residual((LayerNorm(), Attention(12))),
            Attention(12, 6, causal=True),
            Flatten(),
            Dense(10),
        ),
        LECUN,
        None,
    ),
    "rnn": ((ROWS, SimpleRNN(WIDTH), Dense(10)), LECUN, LECUN),
    "rnn, orthogonal": ((ROWS, SimpleRNN(WIDTH, "relu"), Dense(10)), HE, Orthogonal(1.2)),
    "rnn, all times": ((ROWS, SimpleRNN(64, sequences=True), Dense(WIDTH), Relu(), Flatten(), Dense(10)), LECUN, LECUN),
    "lstm": ((ROWS, LSTM(48), Dense(10)), GLOROT, None),
    "lstm, all times": ((ROWS, Dense(64), LSTM(64, True, 0.0), LSTM(48), Dense(10)), LECUN, HE),
    "gru": ((ROWS, GRU(48, True), GlobalAveragePool(), Dense(10)), GLOROT, None),
    "gru, reset before": ((ROWS, GRU(48, reset="before"), Dense(10)), LECUN, LECUN),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_gradients_are_as_large_as_expected(kind):
    """‖∂L/∂W‖² of every weight of a network over 16 starts: the mean, and each over the last one, which the loss moves.

    Allowed are four standard errors of the mean, by the starts or by theory's spread, for 16 may lack the long tail;
    for the finite width, of a network whose own spread is s, the second term of a series in it, s²; and for the draws
    that theory makes 7 %. Of ratios, whose logarithms are averaged, the spread is s and the draws are two.
    """
    model, initialisation, recurrent = NETWORKS[kind]
    problem = Network(DIGITS, model, CrossEntropy(), initialisation, recurrent or Orthogonal())
    theory = predicted(problem)
    seen = {name: g for name, g in gradients(problem).items() if name.endswith(("weight", "recurrent"))}
    last = list(seen)[-1]
    for name, squares in seen.items():
        found, expectation = theory.gradients[name], theory.gradient_square(name, BATCH)
        assert found.certainty == "mean field"
        spread = found.spread
        own = math.sqrt(max(spread**2 - theory.common_spread**2, 0))
        error = max(squares.std() / expectation, math.sqrt(math.expm1(spread**2))) / math.sqrt(SEEDS)
        assert abs(squares.mean() / expectation - 1) <= 4 * error + own**2 + 0.07, name
        ratios = np.log(squares / seen[last]) - np.log(expectation / theory.gradient_square(last, BATCH))
        error = max(ratios.std(), own) / math.sqrt(SEEDS)
        assert abs(ratios.mean()) <= 4 * error + own**2 + 0.1, name
        assert 4 * error + own**2 < 1  # or little is shown


LOSSES = {
    "squares": (DataSet("diabetes"), MeanSquaredError(), 1),
    "absolute": (DataSet("diabetes"), MeanAbsoluteError("sum"), 1),
    "huber": (DataSet("diabetes"), Huber(30.0, "sum_of_means"), 1),
    "binary": (DataSet("breast_cancer"), BinaryCrossEntropy("sum"), 1),
    "one hot": (DataSet("wine"), CrossEntropy("one_hot", "sum"), 3),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_and_their_reductions(kind):
    data, loss, units = LOSSES[kind]
    problem = Network(data, (Dense(WIDTH), Tanh(), Dense(units)), loss, LECUN)
    theory = predicted(problem)
    seen = gradients(problem)["dense2.weight"]
    expectation = theory.gradient_square("dense2.weight", BATCH)
    assert abs(seen.mean() - expectation) <= 4 * seen.std() / math.sqrt(SEEDS) + 0.05 * expectation


def test_batches_of_other_sizes():
    """Noise averages out, and what samples have in common does not: E‖g_B‖² = common + (sample − common)/B."""
    problem = Network(DIGITS, dense(Tanh(), 1), CrossEntropy(), LECUN)
    theory = predicted(problem, 200)
    for batch in (1, 10, 100):
        alone = np.mean(
            [
                np.mean(gradients(problem, batch, 6)["dense1.weight"])
                if batch > 1
                else np.mean([samples(problem, seed) for seed in range(6)])
            ]
        )
        assert math.isclose(alone, theory.gradient_square("dense1.weight", batch), rel_tol=0.35)
    found = theory.gradients["dense1.weight"]
    assert math.isclose(found.square(math.ceil(found.noise_scale)), 2 * found.common, rel_tol=0.1)


def samples(problem, seed):
    """The mean of ‖g‖² of single samples."""
    task = tasks.make(problem)
    cell = Cell(problem, Recipe(SGD()), Budget(steps=1, batch=1), "reference", precision="float64")
    trainer = REFERENCE.trainer(cell, task, tasks.initial(task, seed), 1, True)
    return np.mean([np.sum(trainer.gradients(np.array([i], np.int32))["dense1.weight"] ** 2) for i in range(60)])


EXACT = {
    "relu": ((Dense(6), Relu(), Dense(4), Relu(), Dense(5)), HE),
    "relu, variance 1/n": ((Dense(6), Relu(), Dense(4), Relu(), Dense(5)), Scaled("lecun", "uniform")),
    "leaky": ((Dense(4), LeakyRelu(0.5), Dense(4), Linear(), Dense(3)), GLOROT),
    "convolution": (
        (Reshape((4, 3, 2)), Conv2D(4, (3, 2), padding="same"), Relu(), Conv2D(3, (2, 2), (2, 1)), Flatten(), Dense(3)),
        HE,
    ),
    "residual": ((Dense(5), Residual((Dense(5), Relu(), Dense(5))), Dense(4)), LECUN),
}


@pytest.mark.parametrize("kind", EXACT)
def test_exact_means_at_any_width(kind):
    """Tiny networks: E‖outputs‖², and E‖∂⟨v, f⟩/∂x‖² of a v, inside four standard errors over 4000 draws."""
    model, initialisation = EXACT[kind]
    problem = Network(DIGITS, model, MeanSquaredError(), initialisation)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 24))
    shapes = parameters(model, (24,))
    drawn = []
    for _ in range(4000):
        w = {name: start(p, initialisation, rng) for name, p in shapes.items()}
        y, inputs = propagate(model, w, x, Pass())
        v = np.ones_like(y)
        delta, _ = backpropagate(model, w, inputs, v, Pass())
        drawn.append((np.mean(y**2), np.sum(delta**2) / np.sum(v**2)))
    layers = expected(problem, x, np.zeros_like(y)).layers
    assert all(layer.forward == layer.back == "exact" for layer in layers.values())
    outer = [layer for layer in layers.values() if "." not in layer.name]
    predictions = outer[-1].square, math.prod(layer.gain for layer in outer)
    mean, error = np.mean(drawn, axis=0), np.std(drawn, axis=0) / math.sqrt(len(drawn))
    assert np.all(np.abs(mean - predictions) <= 4 * error)
    assert np.all(error < 0.1 * mean)


def test_by_hand():
    """x = (1, 2), mean square 5/2. He to 3: h of variance (2/2)·5 = 5, ReLU halves it. Back: ½, and 2·2/2 to x.

    LeCun to 3, and to 1: y of variance (1/3)·3·5/2 = 5/2, and δ comes back as 3 of it, with variance 1/3 each.
    """
    problem = Network(DIGITS, (Dense(3), Relu()), MeanSquaredError(), HE)
    layers = expected(problem, np.array([[1.0, 2.0]] * 2), np.zeros((2, 3))).layers
    assert math.isclose(layers["dense1"].square, 5)
    assert math.isclose(layers["relu1"].square, 5 / 2)
    assert math.isclose(layers["relu1"].mean, math.sqrt(5 / (2 * math.pi)))
    assert math.isclose(layers["relu1"].gain, 1 / 2)
    assert math.isclose(layers["dense1"].gain, 2)
    problem = Network(DIGITS, (Dense(3, False), Dense(1, False)), MeanSquaredError(), LECUN)
    found = expected(problem, np.array([[1.0, 2.0]] * 2), np.zeros((2, 1)))
    assert math.isclose(found.layers["dense2"].square, 5 / 2)
    assert math.isclose(found.layers["dense2"].gain, 1)
    # Two equal samples: ∂L/∂y = 2y of the mean loss of both, so E δ² = 4·5/2 of their sum; E‖∂L/∂W₂‖² = 3·(5/2)·10.
    assert math.isclose(found.gradients["dense2.weight"].square(2), 75, rel_tol=0.05)  # by 20000 draws


def test_layers_by_hand():
    """A pool's windows of four pass δ on to one, or a quarter of it to each; dropout of ½ doubles squares both ways.

    GELU of variance q has the mean q/√(2π(1 + q)). The image itself is of ones: its mean over all places is 1.
    """
    x, y = np.ones((2, 64)), np.zeros((2, 10), dtype=int)[:, 0]
    model = (IMAGE, Conv2D(4, (1, 1)), Gelu(), MaxPool(), AveragePool(), Dropout(0.5), GlobalAveragePool(), Dense(10))
    layers = expected(Network(DIGITS, model, CrossEntropy(), LECUN), x, y).layers
    assert math.isclose(layers["conv2d1"].square, 1)
    assert math.isclose(layers["gelu1"].mean, 1 / math.sqrt(4 * math.pi))
    assert math.isclose(layers["max_pool1"].gain, 1)
    assert math.isclose(layers["max_pool1"].square, layers["gelu1"].square, rel_tol=0.03)  # by draws: all places equal
    assert math.isclose(layers["average_pool1"].gain, 1 / 4)
    assert math.isclose(layers["dropout1"].gain, 2)
    assert math.isclose(layers["dropout1"].square, 2 * layers["average_pool1"].square)
    assert math.isclose(layers["global_average_pool1"].gain, 1 / 4)


@pytest.mark.parametrize(
    "kind", ["convolutions", "a block of a resnet", "residual sigmoids", "attention", "gru", "places"]
)
def test_signals_are_as_large_as_expected(kind):
    """The mean square of what each layer is given, over 16 starts: four errors, and 7 % for draws."""
    model, initialisation, recurrent = NETWORKS[kind]
    problem = Network(DIGITS, model, CrossEntropy(), initialisation, recurrent or Orthogonal())
    task, theory = tasks.make(problem), predicted(problem)
    seen = {}
    for seed in range(SEEDS):
        _, inputs = propagate(model, tasks.initial(task, seed), task.parts["training"].x[:BATCH], Pass())
        for name, x in inputs.items():
            seen.setdefault(name, []).append((np.mean(x**2), np.mean(x)))
    names = [name for name in seen if "." not in name]
    for before, name in zip(names, names[1:], strict=False):
        found = theory.layers[before]
        squares, means = np.transpose(seen[name])
        error = squares.std() / math.sqrt(SEEDS)
        assert abs(squares.mean() - found.square) <= 4 * error + 0.07 * found.square, name
        assert abs(means.mean() - found.mean) <= 4 * means.std() / math.sqrt(SEEDS) + 0.07 * math.sqrt(found.square), (
            name
        )


def test_a_deep_narrow_network_may_vanish_by_its_draw():
    """He's variance is right, so gradients are of order 1 on average; of twenty layers of eight half lie below 1/300.

    ln‖·‖² has the spread √(20·5/8 + that of the outputs) = 3.6, and its median lies s²/2 below the logarithm of the
    mean: of 30 draws the median of logarithms errs by 1.25·3.6/√30 = 0.8.
    """
    problem = Network(DIGITS, (*(Dense(8), Relu()) * 20, Dense(10)), CrossEntropy(), HE)
    found = predicted(problem).gradients["dense1.weight"]
    assert 0.1 < found.square(BATCH) < 10
    assert math.isclose(found.spread, 3.6, abs_tol=0.15)
    logarithms = np.log(gradients(problem, seeds=30)["dense1.weight"])
    expectation = math.log(found.square(BATCH)) - found.spread**2 / 2
    assert abs(np.median(logarithms) - expectation) <= 4 * 0.8
    assert logarithms.min() < -10  # some have vanished
    outside = np.abs(logarithms - expectation) > 4 * found.spread
    assert outside.mean() <= 4 * born_dead((8,) * 20) / 3  # 0.1: next to those that are dead on one input


def test_zeros_pass_nothing_on():
    problem = Network(DIGITS, (Dense(6), Tanh(), Dense(10)), CrossEntropy(), Zeros())
    found = predicted(problem)
    assert found.gradients["dense1.weight"].square(BATCH) == 0
    assert found.gradients["dense2.weight"].square(BATCH) == 0
    assert found.gradients["dense2.bias"].square(BATCH) > 0


def test_layer_norms_know_what_comes_out_of_them():
    """Whatever stands before: here a softmax, of which nothing is known."""
    model = (
        ROWS,
        Dense(16),
        Residual((LayerNorm(), Softmax())),
        LayerNorm(),
        Dense(16),
        Relu(),
        Flatten(),
        Dense(10),
    )
    found = predicted(Network(DIGITS, model, CrossEntropy(), HE)).layers
    assert math.isnan(found["residual1"].square)
    assert "softmax1" in found["residual1"].why
    assert found["layer_norm1"].square == 1
    assert math.isclose(found["relu1"].square, 1)
    assert math.isclose(found["relu1"].gain, 0.5)
    assert found["dense2"].back == "exact"


@pytest.mark.parametrize(
    "model",
    [
        (Dense(8), Softmax(), Dense(10)),
        (Dense(8), Residual((Relu(),)), Dense(10)),
        (Dense(64), IMAGE, Flatten(), Dense(10)),
        (IMAGE, Conv2D(4), MaxPool((2, 2), (1, 1)), Flatten(), Dense(10)),
    ],
    ids=["softmax", "residual of relu", "reshape", "overlapping pools"],
)
def test_what_is_not_known_is_said_to_be(model):
    found = predicted(Network(DIGITS, model, CrossEntropy(), HE))
    dark = [one for one in found.layers.values() if "unknown" in (one.forward, one.back)]
    assert dark
    assert all(one.why for one in dark)
    assert all(one.certainty == "unknown" and one.why and math.isnan(one.square(5)) for one in found.gradients.values())


def test_behind_a_batch_norm_only_the_batch_itself_is_known():
    found = predicted(Network(DIGITS, (Dense(8), BatchNorm(), Relu(), Dense(10)), CrossEntropy(), HE))
    assert not math.isnan(found.gradients["dense1.weight"].square(BATCH))
    assert math.isnan(found.gradients["dense1.weight"].square(BATCH + 1))


def test_embeddings_look_up():
    data = DataSet("temporal_order", scaling="none", length=20, samples=200)
    problem = Network(
        data, (Embedding(8, 40), Dense(WIDTH), Tanh(), GlobalAveragePool(), Dense(4)), CrossEntropy(), LECUN
    )
    seen, theory = gradients(problem), predicted(problem)
    for name in ("embedding1.weight", "dense1.weight", "dense2.weight"):
        assert math.isclose(seen[name].mean(), theory.gradient_square(name, BATCH), rel_tol=0.3)


@pytest.mark.parametrize("samples", [8, 16, 32, 64])
def test_batch_norms_explode(samples):
    """Per layer (B − 2)/(B − 3) with linear layers, and with ReLU π/(π − 1) = 1.467 for B → ∞ (Yang et al. 2019).

    From one of the middle layers to the next. The draws, 20000 features, leave an error of √(2/B)/√20000·(some), 1 %.
    """
    x = np.random.default_rng(0).standard_normal((samples, 300))
    y = np.zeros((samples, 10))
    for activation, growth, tolerance in (
        (Linear(), (samples - 2) / (samples - 3), 0.015),
        (Relu(), math.pi / (math.pi - 1), 2 / samples),
    ):
        block = (Dense(300, False), BatchNorm(eps=1e-12), activation)
        found = expected(Network(DIGITS, (*block * 5, Dense(10)), MeanSquaredError(), LECUN), x, y).layers
        layers = list(found.values())
        ratio = layers[4].gradient / layers[7].gradient  # of the outputs of the second and the third batch norm
        assert abs(ratio / growth - 1) <= tolerance
