"""Multiples of the floor on made-up records, worked out by hand."""

import numpy as np
import pytest
from msgspec.structs import replace

from harness.judge import floor
from harness.measure.series import series, table
from harness.spec.cell import Budget, Cell
from harness.spec.job import Environment, Job, Speed
from harness.spec.optimizers import SGD, Adam
from harness.spec.problem import RandomGradients
from harness.spec.recipe import Recipe
from harness.store import Record

ENVIRONMENT = Environment("3.11", {"torch": "1.0"}, "code", "data", "machine", 1, {})
UPDATE = Speed(phase="update")


def updated(seconds, bandwidth, optimizer, parameters, tensors=1, precision="float32"):
    problem = RandomGradients(parameters=parameters, tensors=tensors, samples=1)
    cell = Cell(problem, Recipe(optimizer), Budget(steps=5, batch=1), "torch", precision=precision)
    rows = [series("step_seconds", seconds, np.arange(len(seconds)))]
    rows += [series("bandwidth", bandwidth, np.arange(len(bandwidth)))] if bandwidth else []
    return Record(Job(cell, UPDATE, ENVIRONMENT), "ok", "", {}, {"session": "one"}, table(rows))


def test_the_floor_is_the_formulas_bytes_over_the_bandwidth():
    # Adam moves 7 arrays of 1000 numbers of 4 bytes: 28 000 bytes, at 1 GB/s in 28 µs.
    (found,) = floor.multiples([updated([56e-6] * 6, [1e9] * 6, Adam(), 1000)])
    assert found.floor == pytest.approx(28e-6)
    assert found.factor.value == pytest.approx(2.0)
    assert (found.parameters, found.tensors) == (1000, 1)


def test_double_precision_moves_twice_the_bytes():
    (found,) = floor.multiples([updated([24e-6] * 6, [1e9] * 6, SGD(), 1000, precision="float64")])
    assert found.floor == pytest.approx(3 * 8 * 1000 / 1e9)
    assert found.factor.value == pytest.approx(1.0)


def test_a_slow_moment_hits_the_block_and_its_bandwidth_and_leaves_the_multiple_alone():
    drift = np.array([1.0, 1.0, 10.0, 10.0, 10.0, 1.0, 1.0])
    (found,) = floor.multiples([updated(30e-6 * drift, list(1e9 / drift), SGD(), 1000)])
    factor = found.factor
    assert (factor.value, factor.low, factor.high) == pytest.approx((2.5, 2.5, 2.5))


def test_sizes_come_first_then_tensors():
    records = [updated([1e-3] * 6, [1e9] * 6, SGD(), p, t) for p, t in ((10_000, 1), (1000, 100), (1000, 1))]
    assert [(m.parameters, m.tensors) for m in floor.multiples(records)] == [(1000, 1), (1000, 100), (10_000, 1)]


def test_steps_and_failures_and_updates_without_a_bandwidth_have_no_floor():
    good = updated([1e-3] * 6, [1e9] * 6, SGD(), 1000)
    step = Record(replace(good.job, measure=Speed()), "ok", "", {}, {}, good.table)
    failed = Record(good.job, "failed", "out of memory")
    assert floor.multiples([step, failed, updated([1e-3] * 6, [], SGD(), 1000)]) == []
