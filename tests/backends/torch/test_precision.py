"""Which products a GPU may round to TF32: in ``exact`` none, in ``shipped`` those that torch lets it."""

import pytest
import torch

from backends.torch.trainer import MATMUL_TF32
from harness.spec.cell import Budget
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe

NETWORK, RECIPE, BUDGET = Network(DataSet("iris"), (Dense(3),), CrossEntropy()), Recipe(Adam()), Budget(steps=2)


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = MATMUL_TF32


def test_exact_rounds_nothing_and_shipped_is_as_torch_is(make):
    torch.backends.cuda.matmul.allow_tf32 = True  # as a job before may have left it
    exact, start, order = make(NETWORK, RECIPE, BUDGET)
    exact.train(order)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"
    make(NETWORK, RECIPE, BUDGET, implementation="shipped")
    assert torch.backends.cuda.matmul.allow_tf32 == MATMUL_TF32
    assert torch.backends.cudnn.allow_tf32
    exact.reset(start)
    assert not torch.backends.cudnn.allow_tf32


def test_what_cudnn_multiplies_follows(make):
    make(NETWORK, RECIPE, BUDGET)
    assert "tf32" not in {torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.rnn.fp32_precision}
    make(NETWORK, RECIPE, BUDGET, implementation="shipped")
    assert {torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.rnn.fp32_precision} == {"tf32"}
