"""Of layers, origins name ``torch.nn`` alone: the modules that are made are looked at."""

import pytest
from torch import nn

from harness import support
from harness.problems import task as tasks
from harness.spec.cell import Budget, Cell
from harness.spec.layers import (
    GRU,
    LSTM,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    MaxPool,
    SimpleRNN,
)

MODULES = {
    Dense: nn.Linear,
    Conv2D: nn.Conv2d,
    MaxPool: nn.MaxPool2d,
    AveragePool: nn.AvgPool2d,
    Flatten: nn.Flatten,
    Embedding: nn.Embedding,
    SimpleRNN: nn.RNN,
    LSTM: nn.LSTM,
    GRU: nn.GRU,
    Dropout: nn.Dropout,
    BatchNorm: nn.modules.batchnorm._BatchNorm,
    LayerNorm: nn.LayerNorm,
}
WORDS = [word for word in support.words() if word.kind == "layers" and type(word.problem.model[-3]) in MODULES]


@pytest.mark.parametrize("implementation", support.IMPLEMENTATIONS)
@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.text)
def test_a_native_layer_is_torchs_own_module(backend, word, implementation):
    cell = Cell(word.problem, word.recipe, Budget(steps=1), "torch", implementation, precision="float64")
    task = tasks.make(word.problem)
    trainer = backend.trainer(cell, task, tasks.initial(task, 0), 1, False)
    own = MODULES[type(word.problem.model[-3])]
    made = [module for module in trainer.module.modules() if isinstance(module, own)]
    besides = 1 if own in (nn.Linear, nn.Flatten) else 0  # the network ends in these
    if backend.plan(cell, task.parameters)["model"].how == "native":  # a composed one may pad before torch's own
        assert len(made) - besides == 1
