"""What a backend computes, for comparison: gradients of one batch, parameters after some steps."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from harness.backend import Floats, Parameters, Trainer
from harness.measure.feedback import Feedback
from harness.measure.run import Outcome, Run, first_not_finite
from harness.measure.series import series
from harness.spec.job import Agreement
from harness.spec.problem import RandomGradients

NUDGES = 4


def measure(run: Run, what: Agreement) -> Outcome:
    """Series ``gradient`` (first batch, at the start), ``parameter`` and ``moved`` (the largest change) per tensor.

    With ``ulp`` the series ``response`` in their place: the largest change of an element of each tensor's end when
    every initial value, and every number of shared random gradients, moves to a neighbour, of several such moves.
    """
    trainer = run.trainer()
    if what.ulp:
        return _response(run, trainer)
    found = []
    if what.gradients:
        found += [series("gradient", g, tensor=name) for name, g in trainer.gradients(run.order[0]).items()]
    diverged = first_not_finite(Feedback(run, trainer).train(0, len(run.order)).loss)
    for name, values in trainer.parameters().items():
        found.append(series("parameter", values, steps=len(run.order), tensor=name))
        found.append(series("moved", np.abs(values - run.start[name]).max(), steps=len(run.order), tensor=name))
    return Outcome(found, diverged)


def _response(run: Run, trainer: Trainer) -> Outcome:
    diverged = first_not_finite(Feedback(run, trainer).train(0, len(run.order)).loss)
    plain, largest = trainer.parameters(), dict.fromkeys(run.start, 0.0)
    for seed in range(NUDGES):
        trainer.reset(neighbour(run.start, seed))
        with _nudged(run, seed):
            Feedback(run, trainer).train(0, len(run.order))
        for name, values in trainer.parameters().items():
            largest[name] = max(largest[name], change(values, plain[name]))
    return Outcome([series("response", value, tensor=name) for name, value in largest.items()], diverged)


@contextmanager
def _nudged(run: Run, seed: int) -> Iterator[None]:
    """Random gradients, which are data and know nothing of w, moved to a neighbour for a while, in the task."""
    if not isinstance(run.cell.problem, RandomGradients):
        yield
        return
    gradients = run.task.parts["training"].x
    kept = gradients.copy()
    gradients[...] = neighbour({"gradients": kept}, seed)["gradients"]
    try:
        yield
    finally:
        gradients[...] = kept


def change(values: Floats, plain: Floats) -> float:
    """The largest difference of an element; infinite where only one of the two is finite."""
    finite = np.isfinite(plain)
    if not np.array_equal(finite, np.isfinite(values)):
        return math.inf
    return float(np.abs(values[finite] - plain[finite]).max(initial=0.0))


def neighbour(start: Parameters, seed: int) -> Parameters:
    """Every value but zero moved to the next float64, up or down by a coin."""
    rng = np.random.default_rng(seed)
    moved = {}
    for name, values in start.items():
        towards = np.where(rng.random(values.shape) < 0.5, -np.inf, np.inf)
        moved[name] = np.where(values == 0, 0.0, np.nextafter(values, towards))
    return moved
