"""Whole recipes and networks drawn at random, against the reference: what no table thought of."""

from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.errors import InvalidInput
from harness.problems import task as tasks
from harness.spec.activations import Elu, Gelu, LeakyRelu, Linear, Mish, Relu, Selu, Sigmoid, Softplus, Swish, Tanh
from harness.spec.architecture import places, without_gradient
from harness.spec.base import Piece, fields
from harness.spec.cell import Budget
from harness.spec.initialisations import Scaled
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
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
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanSquaredError
from harness.spec.optimizers import LBFGS, OPTIMIZERS
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import CLIPS, DECAYS, PENALTIES, Recipe
from harness.spec.schedules import SCHEDULES

BUDGET = Budget(steps=12, batch=8)


def value(field: msgspec.structs.FieldInfo) -> st.SearchStrategy[Any]:
    """Values of a field near its default: choices and switches freely, numbers within a factor of three."""
    kind, default = field.type, field.default
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if get_origin(kind) is Annotated and isinstance(default, float):
        return st.sampled_from(
            [default, *(example for m in kind.__metadata__ for example in m.examples or ())]
        ) | st.floats(0.3, 1.0).map(lambda share: round(share * default, 6) if default > 1e-5 else share * default)
    return st.just(default)


def piece(kinds: tuple[type[Piece], ...]) -> st.SearchStrategy[Piece]:
    """A valid piece of any of some kinds."""

    @st.composite
    def draw(drawn: st.DrawFn) -> Piece:
        kind = drawn(st.sampled_from(kinds))
        chosen = {field.name: drawn(value(field)) for field in fields(kind)}
        try:
            return kind(**chosen)
        except InvalidInput:
            return kind()

    return draw()


# L-BFGS divides by sᵀy, which mini-batches make small by chance: see test_recipes.
STEADY = tuple(kind for kind in OPTIMIZERS if kind is not LBFGS)
RECIPES = st.builds(
    Recipe, piece(STEADY), clip=piece(CLIPS), penalty=piece(PENALTIES), decay=piece(DECAYS), schedule=piece(SCHEDULES)
)
PHI = st.sampled_from(
    [Relu(), Tanh(), Sigmoid(), Elu(), LeakyRelu(), Linear(), Selu(), Softplus(), Swish(), Mish(), Gelu()]
)
HIDDEN = st.lists(st.builds(Dense, st.integers(1, 9), st.booleans()) | PHI, max_size=5)
ENDS = st.sampled_from(
    [
        ("iris", 3, CrossEntropy()),
        ("breast_cancer", 1, BinaryCrossEntropy()),
        ("diabetes", 1, MeanSquaredError()),
        ("diabetes", 1, Huber()),
    ]
)
SIZE, WINDOW, SLIDING = (
    st.integers(1, 4),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from(["valid", "same"]),
)
ANYWHERE = (
    PHI | st.builds(Dropout, st.floats(0, 0.6)) | st.builds(BatchNorm, st.floats(0.5, 0.95)) | st.just(LayerNorm(0.1))
)
ON_IMAGES = (
    st.builds(Conv2D, SIZE, WINDOW, WINDOW, SLIDING, st.booleans())
    | st.builds(MaxPool, WINDOW, WINDOW, SLIDING)
    | st.builds(AveragePool, WINDOW, WINDOW, SLIDING, st.booleans())
)
ON_SEQUENCES = (
    st.builds(SimpleRNN, SIZE, st.just("tanh"), st.just(True))
    | st.builds(LSTM, SIZE, st.just(True))
    | st.builds(GRU, SIZE, st.just(True), st.sampled_from(["after", "before"]))
    | st.builds(Attention, SIZE, SIZE, st.booleans())
    | st.builds(Dense, SIZE)
    | st.just(Position())
)


INITIALISATION = Scaled("lecun", "normal")


@st.composite
def dense(draw: st.DrawFn) -> Network:
    data, units, loss = draw(ENDS)
    return Network(DataSet(data), (*draw(HIDDEN), Dense(units)), loss, INITIALISATION)


@st.composite
def deep(draw: st.DrawFn, shape: tuple[int, ...], layers: st.SearchStrategy[Layer]) -> Network:
    """A network on the digits in that shape, of layers that can take what those before them make."""
    model: tuple[Layer, ...] = (Reshape(shape),)
    for drawn in draw(st.lists(layers | ANYWHERE, min_size=2, max_size=5)):
        for layer in (Residual((drawn,)), drawn) if draw(st.booleans()) else (drawn,):
            if fits((*model, layer)):
                model = (*model, layer)
                break
    end = draw(st.sampled_from([Flatten(), GlobalAveragePool()]))
    data = DataSet("digits", scaling="min_max", training=100)
    return Network(data, (*model, end, Dense(10)), CrossEntropy(), INITIALISATION)


def fits(model: tuple[Layer, ...]) -> bool:
    """Whether every layer can take its inputs; and none is a layer norm of one feature, which is 0 up to rounding."""
    try:
        return not any(isinstance(p.layer, LayerNorm) and p.inputs[-1] == 1 for p in places(model, (64,)))
    except InvalidInput:
        return False


DRAWN = settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # a failure is told as it was drawn: shrinking would compile hundreds more
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@DRAWN
@given(problem=dense(), recipe=RECIPES)
def test_dense(run, rounding, problem, recipe):
    compare(run, rounding, problem, recipe)


@DRAWN
@given(problem=deep((8, 8, 1), ON_IMAGES), recipe=RECIPES)
def test_images(run, rounding, problem, recipe):
    compare(run, rounding, problem, recipe)


@DRAWN
@given(problem=deep((8, 8), ON_SEQUENCES), recipe=RECIPES)
def test_sequences(run, rounding, problem, recipe):
    compare(run, rounding, problem, recipe)


def compare(run, rounding, problem, recipe):
    """Both diverge, or what moves ends at the same place."""
    mine, theirs = run(problem, recipe, BUDGET), run(problem, recipe, BUDGET, on="reference")
    if not np.isfinite(theirs.steps.loss).all():
        assert not np.isfinite(mine.steps.loss).all()
        return
    ends, expected = mine.trainer.parameters(), theirs.trainer.parameters()
    moved = {name: float(np.abs(w - theirs.start[name]).max()) for name, w in expected.items()}
    nothing = without_gradient(problem.model, tasks.make(problem).inputs)
    for name, w in expected.items():
        distance = np.abs(ends[name] - w).max() / (moved[name] or 1.0)
        assert name in nothing or rounding(distance, problem, recipe, BUDGET), name
