"""Long-memory tasks. ``adding[length=100]`` makes them longer: what a network carries over fewer steps, it may lose."""

from harness.spec.cell import Budget, Case
from harness.spec.layers import GRU, LSTM, Dense, Embedding
from harness.spec.losses import CrossEntropy, MeanSquaredError
from harness.spec.optimizers import Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import GlobalNorm, Recipe

CLIPPED = Recipe(Adam(lr=0.01), clip=GlobalNorm(1.0))

CASES = (
    Case(
        "adding",
        "the sum of the two numbers that are marked in a sequence, adding[length=…] (Le et al. 2015), by an LSTM",
        Network(DataSet("adding", scaling="none", length=50), (LSTM(32), Dense(1)), MeanSquaredError()),
        CLIPPED,
        Budget(epochs=10, batch=64),
        target=0.96,
    ),
    Case(
        "copy",
        "five symbols to repeat at the end of a sequence, copy[length=…] (Arjovsky et al. 2016), by a GRU",
        Network(
            DataSet("copy", scaling="none", length=20),
            (Embedding(10, 16), GRU(64, sequences=True), Dense(9)),
            CrossEntropy(),
        ),
        CLIPPED,
        Budget(epochs=12, batch=64),
        target=0.93,
    ),
    Case(
        "temporal-order",
        "which symbols came first and second, temporal-order[length=…] (Hochreiter & Schmidhuber 1997), by an LSTM",
        Network(
            DataSet("temporal_order", scaling="none", length=30), (Embedding(8, 8), LSTM(32), Dense(4)), CrossEntropy()
        ),
        CLIPPED,
        Budget(epochs=10, batch=64),
        target=0.98,
    ),
)
