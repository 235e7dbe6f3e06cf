"""A trainer's contract: reset, read-only methods, precision, memory, failures that flow."""

import logging
import subprocess
import sys

import jax
import numpy as np

from backends.jax.trainer import BLOCK
from harness.problems import task as tasks
from harness.spec.base import to_json
from harness.spec.cell import Budget, Cell
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Decoupled, GlobalNorm, Recipe
from harness.spec.schedules import Cosine, WarmUp

PROBLEM = Network(DataSet("wine"), (Dense(3),), CrossEntropy())
BUDGET = Budget(steps=12, batch=16)
TASK = tasks.make(PROBLEM)
ORDER = tasks.order(TASK.samples, BUDGET, 0)
RECIPE = Recipe(Adam(amsgrad="raw"), GlobalNorm(0.1), decay=Decoupled(), schedule=WarmUp(3, then=Cosine()))


def make(backend, recipe=RECIPE, precision="float64", seed=0):
    cell = Cell(PROBLEM, recipe, BUDGET, "jax", precision=precision)
    return backend.trainer(cell, TASK, tasks.initial(TASK, seed), len(ORDER), observe=False)


def same(left, right):
    return list(left) == list(right) and all(np.array_equal(left[name], right[name]) for name in right)


def test_reset_is_a_fresh_start_without_compiling(backend, caplog):
    fresh = make(backend)
    steps = fresh.train(ORDER)
    used = make(backend, seed=1)
    used.train(ORDER[:5])
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        used.train(ORDER[5:6])
        used.reset(tasks.initial(TASK, 0))
        assert same(used.parameters(), tasks.initial(TASK, 0))
        assert np.array_equal(used.train(ORDER).loss, steps.loss)
        assert not [record for record in caplog.records if "ompil" in record.getMessage()]
        used.gradients(ORDER[0])
        assert [record for record in caplog.records if "ompil" in record.getMessage()]
    assert same(used.parameters(), fresh.parameters())


def test_gradients_and_evaluation_change_nothing(backend):
    trainer = make(backend)
    trainer.train(ORDER)
    plain = trainer.parameters()
    trainer.reset(tasks.initial(TASK, 0))
    trainer.train(ORDER[:4])
    trainer.gradients(ORDER[0])
    trainer.evaluate("test")
    trainer.train(ORDER[4:])
    assert same(trainer.parameters(), plain)


def test_a_block_longer_than_the_buffers(backend):
    cell = Cell(PROBLEM, Recipe(SGD()), BUDGET, "jax")
    order = tasks.order(TASK.samples, Budget(steps=BLOCK + 3, batch=16), 0)
    start = tasks.initial(TASK, 0)
    trainer = backend.trainer(cell, TASK, start, len(order), observe=True)
    whole, together = trainer.train(order), trainer.parameters()
    trainer.reset(start)
    parts = [trainer.train(rows) for rows in np.split(order, [100, 101])]
    assert same(trainer.parameters(), together)
    assert whole.norms.shape == (BLOCK + 3, len(together))
    for name in ("loss", "penalty", "norms"):
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts]))
    assert trainer.train(order[:0]).loss.shape == (0,)


def test_memory_is_shared_with_nobody(backend):
    """A step overwrites what it is given, which must not be the caller's start nor what the caller was handed."""
    trainer, start = make(backend), tasks.initial(TASK, 0)
    kept = {name: values.copy() for name, values in start.items()}
    trainer.reset(start)
    before = trainer.parameters()
    trainer.train(ORDER)
    assert same(start, kept)
    assert same(before, kept)


def test_precisions_do_not_leak(backend):
    """Trainers taking turns compute what each computes alone, in what they compile late too."""

    def results(trainer):
        return {"loss": trainer.evaluate("test").loss} | trainer.parameters()

    expected = {}
    for precision in ("float64", "float32"):
        alone = make(backend, precision=precision)
        alone.train(ORDER)
        expected[precision] = results(alone)
        representable = [np.array_equal(w, w.astype(np.float32)) for w in alone.parameters().values()]
        assert all(representable) if precision == "float32" else not any(representable)
    turns = {precision: make(backend, precision=precision) for precision in ("float32", "float64")}
    for block in np.split(ORDER, 3):
        for trainer in turns.values():
            trainer.train(block)
    assert all(same(results(trainer), expected[precision]) for precision, trainer in turns.items())
    assert not jax.config.jax_enable_x64


COLD = """
from backends.jax import BACKEND
from harness.problems import task as tasks
from harness.spec.base import from_json
from harness.spec.cell import Cell

cell = from_json(Cell, {cell!r})
task = tasks.make(cell.problem)
order = tasks.order(task.samples, cell.budget, 0)
print(BACKEND.open(1).trainer(cell, task, tasks.initial(task, 0), len(order), False).train(order).loss.tobytes().hex())
"""


def test_a_cold_process_computes_the_same(backend):
    recipe = Recipe(Adam(eps_placement="hat"), schedule=Cosine())
    make(backend, recipe, "float32").train(ORDER)
    warm = make(backend, recipe, "float64").train(ORDER).loss
    cell = Cell(PROBLEM, recipe, BUDGET, "jax", precision="float64")
    cold = subprocess.run(
        [sys.executable, "-c", COLD.format(cell=to_json(cell))], capture_output=True, text=True, check=True
    )
    assert np.array_equal(np.frombuffer(bytes.fromhex(cold.stdout), np.float64), warm)


def test_overflow_flows_through(backend):
    trainer = make(backend, Recipe(SGD(3e38), GlobalNorm(3e38)), "float32")
    loss = trainer.train(ORDER).loss
    assert np.isfinite(loss[0])
    assert not np.isfinite(loss[-1])
    assert not np.isfinite(trainer.evaluate("test").loss)
