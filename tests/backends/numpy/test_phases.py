"""What is held while a phase is repeated: work that is the same each time."""

import numpy as np
import pytest

from backends.numpy.flat import norm
from backends.numpy.phases import LOWER
from harness.spec.activations import Relu
from harness.spec.cell import Budget
from harness.spec.layers import BatchNorm, Dense, Dropout
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, Adam
from harness.spec.problem import DataSet, Network, RandomGradients
from harness.spec.recipe import L1L2, Adaptive, ByValue, Coupled, GlobalNorm, PerTensor, Recipe

IRIS = Network(DataSet("iris"), (Dense(9), BatchNorm(), Relu(), Dropout(0.2), Dense(3)), CrossEntropy())
DIGITS = Network(DataSet("digits"), (Dense(8), Relu(), Dense(10)), CrossEntropy())
MANY = RandomGradients(parameters=6000, tensors=3)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("clip", "vectors"), [(GlobalNorm(2.0), 1), (PerTensor(2.0), 3)])
def test_each_clip_cuts_again(make, clip, vectors, precision):
    trainer, _, order = make(MANY, Recipe(SGD(), clip), Budget(steps=50, batch=1), precision=precision)
    held = [trainer.g.vector] if vectors == 1 else trainer.g.pieces
    go = trainer.phase("clip", order)
    assert min(norm(g) for g in held) > 20
    for last in (49, 99):
        go()
        np.testing.assert_allclose([norm(g) for g in held], 2.0 * LOWER**last, rtol=1e-5)


@pytest.mark.parametrize("clip", [ByValue(-0.5, 0.5), Adaptive()])
def test_other_clips_do_the_same_work_anyway(make, clip):
    """What they leave alone goes through the same operations, so the first result stays."""
    trainer, _, order = make(MANY, Recipe(SGD(), clip), Budget(steps=20, batch=1))
    trainer.phase("clip", order[:1])()
    once = trainer.g.vector.copy()
    trainer.phase("clip", order)()
    np.testing.assert_allclose(trainer.g.vector, once, rtol=1e-12)


def test_a_clip_that_is_timed_leaves_the_training_its_threshold(make):
    recipe, budget = Recipe(SGD(lr=1.0), GlobalNorm(2.0)), Budget(steps=50, batch=1)
    timed, _, order = make(MANY, recipe, budget)
    other, _, _ = make(MANY, recipe, budget)
    timed.phase("clip", order)()
    timed.train(order[:3])
    other.train(order[:3])
    assert all(np.array_equal(timed.parameters()[name], w) for name, w in other.parameters().items())


@pytest.mark.parametrize("recipe", [Recipe(Adam()), Recipe(Adam(), decay=Coupled(0.1))])
def test_a_held_gradient_is_that_of_its_row_and_stays(make, recipe):
    trainer, _, order = make(MANY, recipe, Budget(steps=30, batch=1))
    go = trainer.phase("update", order)
    held = np.concatenate([g.ravel() for g in trainer.gradients(order[0]).values()])
    go()
    assert np.array_equal(trainer.g.vector, held)
    assert trainer.update.t == 30


def test_nothing_becomes_subnormal_where_a_held_gradient_is_0(make):
    """Pixels that are never lit have no gradient; after 3000 steps 0.9ᵗ would be 1e-138."""
    trainer, _, order = make(DIGITS, Recipe(Adam()), Budget(steps=1000, batch=8), precision="float32")
    trainer.train(order[:5])
    zeros = (np.concatenate([g.ravel() for g in trainer.gradients(order[5]).values()]) == 0).mean()
    assert 0 < zeros < 0.9
    go = trainer.phase("update", order[5:])
    for _ in range(3):
        go()
    (block,) = trainer.update.blocks
    for kept in (block.optimizer.m, block.optimizer.v):
        assert (np.abs(kept) >= np.finfo(np.float32).tiny).all()


def test_an_update_is_that_of_training(make):
    """From the gradient of its row on; the clip left out."""
    budget = Budget(steps=1, batch=1)
    phased, _, order = make(MANY, Recipe(Adam(), GlobalNorm(1e-3), decay=Coupled(0.1)), budget)
    trained, _, _ = make(MANY, Recipe(Adam(), decay=Coupled(0.1)), budget)
    phased.phase("update", order)()
    trained.train(order)
    assert all(np.array_equal(phased.parameters()[name], w) for name, w in trained.parameters().items())


@pytest.mark.parametrize("phase", ["forward", "gradient", "penalty"])
def test_no_other_phase_moves_a_parameter(make, phase):
    trainer, start, order = make(IRIS, Recipe(Adam(), penalty=L1L2()), Budget(steps=4, batch=8))
    trainer.phase(phase, order)()
    assert all(np.array_equal(w, start[name]) for name, w in trainer.parameters().items())
    assert trainer.update.t == 0


def test_forward_goes_through_what_training_goes_through(make):
    """The running moments follow it, and the coming step's loss is that of a run that has not been timed."""
    phased, _, order = make(IRIS, Recipe(Adam(), penalty=L1L2()), Budget(steps=4, batch=8))
    other, _, _ = make(IRIS, Recipe(Adam(), penalty=L1L2()), Budget(steps=4, batch=8))
    (moments,) = phased.running.values()
    before = moments.mean.copy()
    phased.phase("forward", order)()
    assert not np.array_equal(moments.mean, before)
    assert phased.train(order).loss == pytest.approx(other.train(order).loss, rel=1e-12)
