"""Updates block by block: the same numbers as at once, from gradients that stay as they are."""

import numpy as np
import pytest

from backends.numpy import blocks
from backends.numpy.flat import LINE, Flat
from backends.numpy.penalties import Penalty
from backends.numpy.update import Update
from harness.spec import optimizers as spec
from harness.spec.optimizers import OPTIMIZERS
from harness.spec.recipe import L1, L1L2, L2, Adaptive, Coupled, Decoupled, NoDecay, Recipe
from harness.spec.schedules import Step
from harness.spec.spellings import short
from harness.spec.variants import variants

VARIANTS = [variant for kind in OPTIMIZERS for variant in variants(kind)]
ELEMENTWISE = [variant for variant in VARIANTS if not isinstance(variant, blocks.optimizers.WHOLE)]
DECAYS = [
    NoDecay(),
    Decoupled(0.1),
    Decoupled(0.1, scaled_by="schedule", on=("a.bias", "b.weight")),
    Coupled(0.1),
    Coupled(0.1, on="all"),
]
# Cuts fall within tensors and between them; the last block is short.
SHAPES = {"a.weight": (13, 11), "a.bias": (11,), "b.weight": (11, 7), "b.bias": (7,), "c.weight": (1, 1)}
SIZE = 143 + 11 + 77 + 7 + 1


def updated(recipe, precision="float32", steps=6):
    """Weights, gradients and the update after some steps by random gradients, which are checked to stay."""
    rng = np.random.default_rng(0)
    w, g = Flat(SHAPES, np.dtype(precision)), Flat(SHAPES, np.dtype(precision))
    w.vector[...] = rng.standard_normal(SIZE)
    update = Update(recipe, w, g, steps)
    for _ in range(steps):
        g.vector[...] = held = rng.standard_normal(SIZE).astype(precision)
        update.apply()
        assert np.array_equal(g.vector, held)
    return w.vector, update


@pytest.mark.parametrize("optimizer", ELEMENTWISE, ids=short)
@pytest.mark.parametrize("decay", DECAYS, ids=short)
def test_many_blocks_are_one_to_the_bit(monkeypatch, optimizer, decay):
    recipe = Recipe(optimizer, decay=decay, schedule=Step(2, 0.3))
    at_once, one = updated(recipe)
    monkeypatch.setattr(blocks, "BYTES", 1000)
    cut, many = updated(recipe)
    assert len(one.blocks) == 1
    assert len(many.blocks) > 2
    assert np.array_equal(cut, at_once)
    assert np.array_equal(many.evaluated_at(), one.evaluated_at())
    assert many.state_bytes() == one.state_bytes()


@pytest.mark.parametrize("optimizer", VARIANTS, ids=short)
@pytest.mark.parametrize("decay", DECAYS[1::2], ids=short)
def test_gradients_stay(optimizer, decay):
    """``updated`` looks at them after each step; here also of those that take tensors as a whole."""
    w, update = updated(Recipe(optimizer, Adaptive(), decay=decay), "float64")
    assert np.isfinite(w).all()
    assert len(update.blocks) == 1


@pytest.mark.parametrize("arrays", [2, 5, 8])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 1000, 32768, 32769, 100_003])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_parts_are_the_whole(size, arrays, precision):
    vector = np.zeros(size, precision)
    cuts = blocks.parts(vector, arrays)
    assert np.array_equal(np.concatenate([np.arange(size)[cut] for cut in cuts]), np.arange(size))
    lengths = [cut.stop - cut.start for cut in cuts]
    assert max(lengths) == lengths[0]
    assert (lengths[0] * vector.itemsize - LINE) * arrays < blocks.BYTES
    assert all(cut.start * vector.itemsize % LINE == 0 for cut in cuts)
    assert (len(cuts) == 1) == (vector.nbytes * arrays <= blocks.BYTES)


KEPT = [
    (spec.SGD(), 0),
    (spec.Momentum(), 1),
    (spec.Momentum(nesterov=True, rate="inside"), 1),
    (spec.Lion(), 1),
    (spec.Adam(), 2),
    (spec.Adam(amsgrad="raw"), 3),
    (spec.RMSProp(), 1),
    (spec.RMSProp(momentum=0.9), 2),
    (spec.RMSProp(momentum=0.9, centred=True), 3),
    (spec.Adan(), 4),  # three averages and the gradient before
    (spec.ScheduleFree(base="sgd"), 2),  # z and x
    (spec.ScheduleFree(), 3),
    (spec.LARS(), 1),
    (spec.LAMB(), 2),
    (spec.Adafactor(factored=False), 1),
]


@pytest.mark.parametrize(("optimizer", "vectors"), KEPT, ids=[short(optimizer) for optimizer, _ in KEPT])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_what_is_kept_is_what_the_formula_keeps(monkeypatch, optimizer, vectors, precision):
    """Scratch does not count, however many blocks share it, nor does a decay."""
    monkeypatch.setattr(blocks, "BYTES", 1000)
    _, update = updated(Recipe(optimizer, decay=Decoupled(0.1)), precision)
    assert update.state_bytes() == vectors * SIZE * np.dtype(precision).itemsize


def test_factored_adafactor_keeps_rows_and_columns():
    _, update = updated(Recipe(spec.Adafactor()), "float32")
    assert update.state_bytes() == 4 * ((13 + 11) + 11 + (11 + 7) + 7 + (1 + 1))


def test_scratch_does_not_grow_with_the_parameters(monkeypatch):
    monkeypatch.setattr(blocks, "BYTES", 1000)
    _, update = updated(Recipe(spec.Adam(), decay=Decoupled(0.1)))
    # Δ and the decay beside w, g, m and v: six arrays, none above a sixth of what a block may take, but for a line.
    assert [array.nbytes for array in update.memory.shared] == [192, 192]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_arrays_begin_at_a_cache_line(precision):
    w, g = Flat(SHAPES, np.dtype(precision)), Flat(SHAPES, np.dtype(precision))
    update = Update(Recipe(spec.Adam()), w, g, 1)
    arrays = [w.vector, g.vector, w.twin().vector, *update.memory.kept, *update.memory.shared]
    assert [array.ctypes.data % LINE for array in arrays] == [0] * 6


def test_values_spread_along_a_part():
    flat = Flat(SHAPES, np.dtype("float32"))
    values = {"a.weight": 0.5, "b.weight": 0.5, "b.bias": 0.25}
    along = np.concatenate([np.full(view.size, values.get(name, 0.0)) for name, view in flat.views.items()])
    for first in range(0, SIZE, 7):
        for last in range(first + 1, SIZE + 1, 13):
            spread, expected = flat.spread(values, slice(first, last)), along[first:last]
            assert np.array_equal(np.broadcast_to(spread, expected.shape), expected)
            assert isinstance(spread, float) == (np.ptp(expected) == 0)


@pytest.mark.parametrize("kind", [L1(0.3), L2(0.2), L1L2(0.3, 0.2), L1L2(0.3, 0.2, on="all")], ids=short)
def test_penalty_in_parts_is_its_formula(monkeypatch, kind):
    monkeypatch.setattr(blocks, "BYTES", 1000)
    w, g = Flat(SHAPES, np.dtype("float64")), Flat(SHAPES, np.dtype("float64"))
    w.vector[...], g.vector[...] = np.random.default_rng(0).standard_normal((2, SIZE))
    before, penalty = g.vector.copy(), Penalty(kind, w, g, 10)
    assert len(penalty.parts) > 2
    l1, l2 = getattr(kind, "l1", getattr(kind, "rate", 0) * (type(kind) is L1)), 0.2 * (type(kind) is not L1)
    on = np.concatenate([np.full(v.size, kind.on == "all" or "weight" in name) for name, v in w.views.items()])
    value = (on * (l1 * abs(w.vector) + l2 * w.vector**2)).sum()
    assert penalty.value() == pytest.approx(value, rel=1e-14)
    assert np.array_equal(g.vector, before)
    assert penalty() == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(g.vector - before, on * (l1 * np.sign(w.vector) + 2 * l2 * w.vector), atol=1e-14)
