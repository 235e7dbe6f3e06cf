"""Whether a GPU may round the factors of products to TF32: in ``exact`` not, in ``shipped`` as TensorFlow lets it."""

import pytest
import tensorflow as tf

from harness.spec.cell import Budget
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe

NETWORK, RECIPE, BUDGET = Network(DataSet("iris"), (Dense(3),), CrossEntropy()), Recipe(Adam()), Budget(steps=2)


@pytest.mark.parametrize("implementation", ["exact", "shipped", "exact"])
def test_every_call_sets_it(make, implementation):
    trainer, start, order = make(NETWORK, RECIPE, BUDGET, implementation=implementation)
    allowed = implementation == "shipped"
    calls = (lambda: trainer.train(order), lambda: trainer.gradients(order[0]), lambda: trainer.evaluate("test"))
    for call in (*calls, lambda: trainer.reset(start), trainer.phase("update", order)):
        tf.config.experimental.enable_tensor_float_32_execution(not allowed)  # as another job may have left it
        call()
        assert tf.config.experimental.tensor_float_32_execution_enabled() == allowed
