"""Networks that should train: architectures, activations, initialisations, optimizers and data, drawn at random."""

from typing import Literal, NamedTuple

import numpy as np
from msgspec.structs import replace

from harness.spec import optimizers as zoo
from harness.spec.activations import (
    Elementwise,
    Elu,
    Exponential,
    Gelu,
    LeakyRelu,
    Linear,
    Mish,
    Relu,
    Selu,
    Sigmoid,
    Softplus,
    Swish,
    Tanh,
)
from harness.spec.cell import Budget, Cell
from harness.spec.initialisations import Initialisation, Orthogonal, Scaled
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
    Layer,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
    SimpleRNN,
)
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError
from harness.spec.optimizers import Optimizer
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import GlobalNorm, NoClip, Recipe

Family = Literal["mlp", "cnn", "rnn", "lstm", "gru", "transformer"]
Draw = np.random.Generator

HE, GLOROT = Scaled("he", "normal"), Scaled("glorot", "uniform")
LECUN, ORTHOGONAL = Scaled("lecun", "truncated"), Orthogonal()
# What an activation's weights start as, where it fits.
FITTING: dict[type[Elementwise], tuple[Initialisation, ...]] = {
    Relu: (HE, Scaled("he", "uniform"), Orthogonal(2**0.5)),
    LeakyRelu: (HE, Scaled("he", "truncated"), Orthogonal(2**0.5)),
    Elu: (HE, GLOROT, LECUN),
    Selu: (LECUN, Scaled("lecun", "normal")),
    Gelu: (HE, Scaled("he", "truncated")),
    Swish: (HE, Orthogonal(2**0.5)),
    Mish: (HE, Scaled("he", "uniform")),
    Tanh: (GLOROT, Scaled("glorot", "normal"), ORTHOGONAL),
    Linear: (GLOROT, ORTHOGONAL),
    Sigmoid: (GLOROT,),
    Softplus: (LECUN, GLOROT),
    Exponential: (LECUN,),
}
DEEP = (Relu, LeakyRelu, Selu, Tanh, Elu, Swish)  # these keep signals through many layers
# Between which rates an optimizer trains small networks, as users set it.
RATES: dict[type[Optimizer], tuple[float, float]] = {
    zoo.SGD: (0.03, 0.15),
    zoo.Momentum: (0.005, 0.03),
    zoo.AdaGrad: (0.02, 0.05),
    zoo.RMSProp: (0.001, 0.004),
    zoo.Adam: (0.001, 0.006),
    zoo.Adamax: (0.003, 0.01),
    zoo.NAdam: (0.001, 0.005),
    zoo.RAdam: (0.003, 0.01),
    zoo.Lion: (2e-4, 1e-3),
    zoo.Adafactor: (0.01, 0.05),
    zoo.LAMB: (0.005, 0.02),
    zoo.Muon: (0.005, 0.02),
    zoo.Yogi: (0.01, 0.02),
    zoo.AdaBelief: (0.001, 0.005),
    zoo.Adan: (0.003, 0.01),
    zoo.ScheduleFree: (0.1, 0.5),
    zoo.Adadelta: (0.5, 1.0),
}
TABLES: dict[str, tuple[int, Loss]] = {
    "digits": (10, CrossEntropy()),
    "wine": (3, CrossEntropy()),
    "iris": (3, CrossEntropy()),
    "breast_cancer": (1, BinaryCrossEntropy()),
    "diabetes": (1, MeanSquaredError()),
}


class Healthy(NamedTuple):
    """A run that should train."""

    family: Family
    depth: int  # layers with weights before the last
    cell: Cell


def drawn(rng: Draw, family: Family, depth: int, seed: int) -> Healthy:
    """One of that family and depth."""
    match family:
        case "mlp":
            problem = _perceptron(rng, depth)
        case "cnn":
            problem = _convolutional(rng, depth)
        case "transformer":
            problem = _transformer(rng, depth)
        case _:
            problem = _recurrent(rng, family, depth)
    recipe = _recipe(rng, family, depth)
    steps, batch = int(rng.integers(200, 401)), int(rng.choice([16, 32, 64]))
    if family == "mlp" and rng.random() < 0.08:  # odd but healthy: batches of one, at a rate that suits them
        recipe, batch = Recipe(zoo.SGD(float(rng.uniform(0.002, 0.006)))), 1
    elif isinstance(problem.loss, MeanSquaredError | CrossEntropy) and rng.random() < 0.08:
        problem, recipe = _scaled(problem, recipe, batch)
    budget = Budget(steps=steps, batch=batch)
    return Healthy(family, depth, Cell(problem, recipe, budget, "numpy", seed=seed))


def one_of(rng: Draw, things: tuple) -> object:  # type: ignore[type-arg]
    """One of them, each as likely."""
    return things[int(rng.integers(len(things)))]


def log_uniform(rng: Draw, low: float, high: float) -> float:
    """A number between them, each order of magnitude as likely; three digits of it."""
    return float(f"{np.exp(rng.uniform(np.log(low), np.log(high))):.3g}")


def _activation(rng: Draw, depth: int) -> Elementwise:
    kinds = DEEP if depth > 4 else tuple(kind for kind in FITTING if kind not in (Sigmoid, Exponential) or depth <= 2)
    kind = one_of(rng, kinds)
    return LeakyRelu(0.1) if kind is LeakyRelu else kind()  # type: ignore[operator]


def _perceptron(rng: Draw, depth: int) -> Network:
    data = str(one_of(rng, tuple(TABLES)[: 1 if depth > 8 else None]))
    outputs, loss = TABLES[data]
    phi, width = _activation(rng, depth), int(one_of(rng, (24, 32, 48, 64)))  # type: ignore[call-overload]
    start = one_of(rng, FITTING[type(phi)])
    style = rng.random()
    norm = None if style > 0.25 or isinstance(phi, Exponential) else one_of(rng, (BatchNorm(), LayerNorm()))
    block = (Dense(width), *((norm,) if norm else ()), phi)
    hidden: tuple[Layer, ...]
    if depth > 12 or (depth > 4 and style > 0.8):
        hidden = (Dense(width), phi, *(Residual((LayerNorm(), Dense(width), phi)),) * (depth - 1))
    else:
        hidden = block * depth  # type: ignore[assignment]
    if rng.random() < 0.1:
        hidden = (*hidden, Dropout(0.2))
    return Network(DataSet(data), (*hidden, Dense(outputs)), loss, start)  # type: ignore[arg-type]


def _convolutional(rng: Draw, depth: int) -> Network:
    phi, filters = _activation(rng, depth), int(one_of(rng, (8, 12)))  # type: ignore[call-overload]
    start = one_of(rng, FITTING[type(phi)])
    norm = (BatchNorm(),) if rng.random() < 0.3 and not isinstance(phi, Exponential) else ()
    convolutions = (Conv2D(filters, padding="same"), *norm, phi) * (depth - 1)
    pooled = (Reshape((8, 8, 1)), *convolutions[: 2 + len(norm)], MaxPool(), *convolutions[2 + len(norm) :])
    model = (*pooled, MaxPool(), Flatten(), Dense(32), phi, Dense(10))
    return Network(DataSet("digits", scaling="min_max"), model, CrossEntropy(), start)  # type: ignore[arg-type]


def _recurrent(rng: Draw, family: Family, depth: int) -> Network:
    units = int(one_of(rng, (16, 24, 32)))  # type: ignore[call-overload]
    kind = {"rnn": SimpleRNN, "lstm": LSTM, "gru": GRU}[family]
    stack = (*(kind(units, sequences=True),) * (depth - 1), kind(units))
    if rng.random() < 0.5:
        return Network(
            DataSet("digits", scaling="min_max"),
            (Reshape((8, 8)), *stack, Dense(10)),
            CrossEntropy(),
            GLOROT,
            ORTHOGONAL,
        )
    length = int(rng.integers(20, 25))
    data = DataSet("temporal_order", scaling="none", length=length, samples=1500)
    return Network(data, (Embedding(8, 8), *stack, Dense(4)), CrossEntropy(), GLOROT, ORTHOGONAL)


def _transformer(rng: Draw, depth: int) -> Network:
    width = int(one_of(rng, (16, 32)))  # type: ignore[call-overload]
    block = (
        Residual((LayerNorm(), Attention(int(one_of(rng, (2, 4)))))),  # type: ignore[call-overload]
        Residual((LayerNorm(), Dense(2 * width), one_of(rng, (Gelu(), Relu(), Swish())), Dense(width))),  # type: ignore[arg-type]
    )
    model = (Reshape((8, 8)), Dense(width), Position(), *block * depth, LayerNorm(), GlobalAveragePool(), Dense(10))
    return Network(DataSet("digits", scaling="min_max"), model, CrossEntropy(), GLOROT)


def _recipe(rng: Draw, family: Family, depth: int) -> Recipe:
    kinds = tuple(RATES)
    if family not in ("mlp", "cnn") or depth > 8:
        kinds = (zoo.Adam, zoo.RMSProp, zoo.Adamax, zoo.NAdam, zoo.AdaBelief, zoo.Momentum, zoo.LAMB)
    elif rng.random() < 0.5:  # what most people use
        kinds = (zoo.SGD, zoo.Momentum, zoo.Adam)
    kind = one_of(rng, kinds)
    low, high = RATES[kind]  # type: ignore[index]
    deep = 0.5 if depth > 8 else 1.0
    optimizer: Optimizer = kind(lr=log_uniform(rng, low * deep, high * deep))  # type: ignore[operator]
    if family == "rnn" and isinstance(optimizer, zoo.Momentum):
        return Recipe(optimizer, GlobalNorm(1.0))
    return Recipe(optimizer, GlobalNorm(1.0) if rng.random() < 0.15 else NoClip())


def _scaled(problem: Network, recipe: Recipe, batch: int) -> tuple[Network, Recipe]:
    """The same run with a loss that is as many times as large as a batch has samples, its rate as much smaller."""
    problem = replace(problem, loss=replace(problem.loss, reduction="sum"))  # type: ignore[type-var]
    if isinstance(recipe.optimizer, zoo.SGD | zoo.Momentum):
        recipe = replace(recipe, optimizer=replace(recipe.optimizer, lr=recipe.optimizer.lr / batch))
    return problem, recipe
