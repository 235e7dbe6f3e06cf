"""Networks that do not train, and beside each what makes it train, one remedy at a time.

``deep-sigmoid``: ten sigmoid layers, each of which passes on at most a quarter of a gradient. ``deep-relu-bad-init``:
six ReLU layers of 64 with weights 0.5·N, each of which makes signals √(64·0.25/2) = 2.8 times larger. ``rnn-long``:
a recurrent matrix of spectral radius 0.05·√32 = 0.3 over 30 steps; ``rnn-long-exploding``: one of 1.5 over 20.
Where clipping is the remedy the problem is the same and the recipe another: reports name it by both.
"""

from harness.spec.activations import Relu, Sigmoid, Tanh
from harness.spec.cell import Budget, Case
from harness.spec.initialisations import Initialisation, Orthogonal, Scaled, SmallNormal
from harness.spec.layers import LSTM, BatchNorm, Dense, Embedding, Layer, LayerNorm, Residual, SimpleRNN
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Clip, GlobalNorm, NoClip, Recipe

HE = Scaled(scheme="he", distribution="normal")
GLOROT, ORTHOGONAL = Scaled(), Orthogonal()
TOO_LARGE, TOO_SMALL = SmallNormal(0.5), SmallNormal(0.05)


def _deep(*model: Layer, initialisation: Initialisation = GLOROT) -> Network:
    return Network(DataSet("digits"), (*model, Dense(10)), CrossEntropy(), initialisation)


def _order(layer: Layer, recurrent: Initialisation = ORTHOGONAL, length: int = 30) -> Network:
    """Temporal order, read by a recurrent layer."""
    data = DataSet("temporal_order", scaling="none", length=length)
    return Network(data, (Embedding(8, 8), layer, Dense(4)), CrossEntropy(), recurrent_initialisation=recurrent)


SIGMOIDS = (Dense(64), Sigmoid()) * 10
TEN_EPOCHS, TWENTY_EPOCHS = Budget(epochs=10), Budget(epochs=20)
PLAIN = Recipe(SGD(lr=0.1))
SEQUENCES = Budget(epochs=10, batch=64)


def _exploding(clip: Clip) -> Recipe:
    return Recipe(Momentum(lr=0.1), clip=clip)


CASES = (
    Case("deep-sigmoid", "ten sigmoid layers: gradients vanish", _deep(*SIGMOIDS), PLAIN, TEN_EPOCHS, target=0.85),
    Case(
        "deep-sigmoid-tanh",
        "remedy of deep-sigmoid by activation: tanh, whose slope at 0 is 1",
        _deep(*(Dense(64), Tanh()) * 10),
        PLAIN,
        TEN_EPOCHS,
        target=0.9,
    ),
    Case(
        "deep-sigmoid-batch-norm",
        "remedy of deep-sigmoid by normalisation: batch norms keep the sigmoids where they are steep",
        _deep(*(Dense(64, bias=False), BatchNorm(), Sigmoid()) * 10),
        PLAIN,
        TEN_EPOCHS,
        target=0.9,
    ),
    Case(
        "deep-sigmoid-residual",
        "remedy of deep-sigmoid by residuals: gradients pass beside the sigmoids",
        _deep(Dense(64), Sigmoid(), *(Residual((Dense(64), Sigmoid())),) * 9),
        PLAIN,
        TEN_EPOCHS,
        target=0.85,
    ),
    Case(
        "deep-relu-bad-init",
        "six ReLU layers with weights far too large: gradients explode",
        _deep(*(Dense(64), Relu()) * 6, initialisation=TOO_LARGE),
        PLAIN,
        TWENTY_EPOCHS,
        target=0.6,
    ),
    Case(
        "deep-relu-bad-init-he",
        "remedy of deep-relu-bad-init by initialisation: He's",
        _deep(*(Dense(64), Relu()) * 6, initialisation=HE),
        PLAIN,
        TWENTY_EPOCHS,
        target=0.9,
    ),
    Case(
        "deep-relu-bad-init-layer-norm",
        "remedy of deep-relu-bad-init by normalisation: layer norms",
        _deep(*(Dense(64, bias=False), LayerNorm(), Relu()) * 6, initialisation=TOO_LARGE),
        PLAIN,
        TWENTY_EPOCHS,
        target=0.85,
    ),
    Case(
        "deep-relu-bad-init-clipped",
        "remedy of deep-relu-bad-init by clipping: slow, but it trains",
        _deep(*(Dense(64), Relu()) * 6, initialisation=TOO_LARGE),
        Recipe(SGD(lr=0.1), clip=GlobalNorm(1.0)),
        TWENTY_EPOCHS,
        target=0.6,
    ),
    Case(
        "rnn-long",
        "temporal order over 30 steps by a simple RNN with a small recurrent matrix: gradients vanish through time",
        _order(SimpleRNN(32), TOO_SMALL),
        Recipe(Adam(lr=0.001)),
        SEQUENCES,
        target=0.95,
    ),
    Case(
        "rnn-long-orthogonal",
        "remedy of rnn-long by initialisation: an orthogonal recurrent matrix",
        _order(SimpleRNN(32)),
        Recipe(Adam(lr=0.001)),
        SEQUENCES,
        target=0.95,
    ),
    Case(
        "rnn-long-lstm",
        "remedy of rnn-long by gates: an LSTM",
        _order(LSTM(32), TOO_SMALL),
        Recipe(Adam(lr=0.001)),
        SEQUENCES,
        target=0.95,
    ),
    Case(
        "rnn-long-exploding",
        "temporal order over 20 steps by a simple RNN with a large recurrent matrix: gradients explode through time",
        _order(SimpleRNN(32), Orthogonal(1.5), length=20),
        _exploding(NoClip()),
        SEQUENCES,
        target=0.95,
    ),
    Case(
        "rnn-long-exploding-clipped",
        "remedy of rnn-long-exploding by clipping",
        _order(SimpleRNN(32), Orthogonal(1.5), length=20),
        _exploding(GlobalNorm(0.3)),
        SEQUENCES,
        target=0.95,
    ),
)
