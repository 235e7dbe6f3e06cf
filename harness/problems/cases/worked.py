"""The worked cases: dense networks as the texts that they come from describe them."""

from harness.spec.activations import Relu, Sigmoid
from harness.spec.cell import Budget, Case
from harness.spec.initialisations import Scaled, SmallNormal
from harness.spec.layers import Dense, Flatten
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import L2, GlobalNorm, Recipe

HE = Scaled(scheme="he", distribution="normal")

CASES = (
    Case(
        "digits-64-64-64-10",
        "three layers on 1000 handwritten digits, the text's example of the chain rule",
        Network(
            DataSet("digits", training=1000), (Dense(64), Relu(), Dense(64), Relu(), Dense(10)), CrossEntropy(), HE
        ),
        Recipe(Adam(lr=0.001)),
        Budget(epochs=10),
        target=0.93,
    ),
    Case(
        "digits-64-10-l2",
        "handwritten digits; L2 on the hidden layer, clipped Adam. The text's softmax layer is taken as logits",
        Network(DataSet("digits"), (Dense(64), Relu(), Dense(10)), CrossEntropy()),
        Recipe(Adam(lr=0.01), clip=GlobalNorm(1.0), penalty=L2(0.01, on=("dense1.weight",))),
        Budget(epochs=10),
        target=0.94,
    ),
    Case(
        "cube-2x2x2",
        "all 256 binary 2×2×2 volumes → shares of ones and of adjacent pairs of ones (the text leaves the data open)",
        Network(
            DataSet("cube", scaling="none"),
            (Flatten(), Dense(64), Relu(), Dense(64), Relu(), Dense(2)),
            MeanSquaredError(),
        ),
        Recipe(Adam(lr=0.001)),
        Budget(epochs=20, batch=2),
        target=0.9,
    ),
    Case(
        "regression-10-32-2",
        "100 standard-normal inputs and targets, full batch: how fast each optimizer memorises noise",
        Network(
            DataSet("regression", scaling="none", validation=0.0, test=0.0),
            (Dense(32), Relu(), Dense(2)),
            MeanSquaredError(),
            HE,
        ),
        Recipe(Momentum(lr=0.01, momentum=0.9)),
        Budget(epochs=1000, batch="full"),
    ),
    Case(
        "sigmoid-binary",
        "breast cancer, two sigmoid layers, L2 as λ/(2m). What the text calls He is 0.01·N, and so it is here",
        Network(DataSet("breast_cancer"), (Dense(16), Sigmoid(), Dense(1)), BinaryCrossEntropy(), SmallNormal(0.01)),
        Recipe(SGD(lr=0.5), penalty=L2(0.1, scaling="per_sample")),
        Budget(epochs=1000, batch="full"),
        target=0.94,
    ),
    Case(
        "line-fit",
        "y = 2x + 1 with noise 0.05 through two linear layers of one unit. The text's mean error is squared here",
        Network(
            DataSet("line", scaling="none", validation=0.0, test=0.0),
            (Dense(1), Dense(1)),
            MeanSquaredError(),
        ),
        Recipe(SGD(lr=0.1)),
        Budget(epochs=100, batch=10),
        target=0.99,
    ),
)
