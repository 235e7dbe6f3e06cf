"""Convolutional, recurrent and attention networks on the handwritten digits."""

from harness.spec.activations import Gelu, Relu
from harness.spec.cell import Budget, Case
from harness.spec.initialisations import Scaled
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
)
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import GlobalNorm, Recipe
from harness.spec.schedules import Cosine

HE = Scaled(scheme="he", distribution="normal")
# Scaled as a whole, from 0 to 1: a pixel that is lit in few images would be blown up by its own standard deviation.
IMAGES = DataSet("digits", scaling="min_max")
IMAGE, ROWS, PIXELS = Reshape((8, 8, 1)), Reshape((8, 8)), Reshape((64, 1))
WIDTH, HEADS = 32, 4
BLOCK = (
    Residual((LayerNorm(), Attention(HEADS))),
    Residual((LayerNorm(), Dense(2 * WIDTH), Gelu(), Dense(WIDTH))),
)
COSINE, CLIPPED = Cosine(), GlobalNorm(1.0)

CASES = (
    Case(
        "digits-cnn",
        "two convolutions with pools, two dense layers",
        Network(
            IMAGES,
            (
                IMAGE,
                Conv2D(16, padding="same"),
                Relu(),
                MaxPool(),
                Conv2D(32, padding="same"),
                Relu(),
                MaxPool(),
                Flatten(),
                Dense(64),
                Relu(),
                Dense(10),
            ),
            CrossEntropy(),
            HE,
        ),
        Recipe(Adam(lr=0.003), schedule=COSINE),
        Budget(epochs=20),
        target=0.94,
    ),
    Case(
        "digits-resnet",
        "a residual block with batch norms (He et al. 2016), dropout before the last layer",
        Network(
            IMAGES,
            (
                IMAGE,
                Conv2D(16, padding="same", bias=False),
                BatchNorm(),
                Relu(),
                Residual(
                    (
                        Conv2D(16, padding="same", bias=False),
                        BatchNorm(),
                        Relu(),
                        Conv2D(16, padding="same", bias=False),
                        BatchNorm(),
                    )
                ),
                Relu(),
                MaxPool(),
                Flatten(),
                Dropout(0.25),
                Dense(10),
            ),
            CrossEntropy(),
            HE,
        ),
        Recipe(Adam(lr=0.003), schedule=COSINE),
        Budget(epochs=12),
        target=0.94,
    ),
    Case(
        "digits-rows-lstm",
        "an LSTM that reads the eight rows of an image",
        Network(DataSet("digits"), (ROWS, LSTM(64), Dense(10)), CrossEntropy()),
        Recipe(Adam(lr=0.01), schedule=COSINE),
        Budget(epochs=20),
        target=0.92,
    ),
    Case(
        "digits-rows-gru",
        "a GRU that reads the eight rows of an image",
        Network(DataSet("digits"), (ROWS, GRU(64), Dense(10)), CrossEntropy()),
        Recipe(Adam(lr=0.01), schedule=COSINE),
        Budget(epochs=20),
        target=0.92,
    ),
    Case(
        "digits-pixels-lstm",
        "an LSTM that reads an image one pixel at a time (Le, Jaitly & Hinton 2015)",
        Network(IMAGES, (PIXELS, LSTM(64), Dense(10)), CrossEntropy()),
        Recipe(Adam(lr=0.005), clip=CLIPPED, schedule=COSINE),
        Budget(epochs=25),
        target=0.75,
    ),
    Case(
        "digits-pixels-gru",
        "a GRU that reads an image one pixel at a time",
        Network(IMAGES, (PIXELS, GRU(64), Dense(10)), CrossEntropy()),
        Recipe(Adam(lr=0.005), clip=CLIPPED, schedule=COSINE),
        Budget(epochs=25),
        target=0.75,
    ),
    Case(
        "digits-transformer",
        "two pre-norm blocks of attention over the eight rows of an image, learned positions, the mean over time",
        Network(
            IMAGES,
            (ROWS, Dense(WIDTH), Position(), *BLOCK, *BLOCK, LayerNorm(), GlobalAveragePool(), Dense(10)),
            CrossEntropy(),
        ),
        Recipe(Adam(lr=0.002), schedule=COSINE),
        Budget(epochs=20),
        target=0.92,
    ),
)
