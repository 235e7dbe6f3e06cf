"""Of layers, origins name ``keras.layers`` alone: the layers that are made are looked at."""

import keras
import pytest

from backends.tensorflow.arranged import Arranged
from harness import support
from harness.problems import task as tasks
from harness.spec.cell import Budget, Cell
from harness.spec.layers import Position, Residual

# A sum is no layer of Keras's; its origin says so.
WORDS = [
    word
    for word in support.words()
    if word.kind == "layers" and not isinstance(word.problem.model[-3], Position | Residual)
]


@pytest.mark.parametrize("implementation", support.IMPLEMENTATIONS)
@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.text)
def test_a_native_layer_is_kerass_own(backend, word, implementation):
    cell = Cell(word.problem, word.recipe, Budget(steps=1), "tensorflow", implementation, precision="float64")
    task = tasks.make(word.problem)
    if backend.plan(cell, task.parameters)["model"].how != "native":
        return
    trainer = backend.trainer(cell, task, tasks.initial(task, 0), 1, False)
    for layer in trainer.model.layers.values():
        own = layer.layer if isinstance(layer, Arranged) else layer
        assert isinstance(own, keras.layers.Layer)
        assert type(own).__module__.startswith("keras.src.layers.")
