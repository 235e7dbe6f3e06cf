"""What a backend computes, for comparison: gradients of one batch, parameters after some steps."""

import numpy as np

from harness.backend import Parameters
from harness.measure.feedback import Feedback
from harness.measure.run import Outcome, Run, first_not_finite
from harness.measure.series import series
from harness.spec.job import Agreement


def measure(run: Run, what: Agreement) -> Outcome:
    """Series ``gradient`` (first batch, at the start), ``parameter`` and ``moved`` (the largest change) per tensor."""
    trainer = run.trainer()
    start = run.start
    if what.ulp:
        start = neighbour(start)
        trainer.reset(start)
    found = []
    if what.gradients:
        found += [series("gradient", g, tensor=name) for name, g in trainer.gradients(run.order[0]).items()]
    diverged = first_not_finite(Feedback(run, trainer).train(0, len(run.order)).loss)
    for name, values in trainer.parameters().items():
        found.append(series("parameter", values, steps=len(run.order), tensor=name))
        found.append(series("moved", np.abs(values - start[name]).max(), steps=len(run.order), tensor=name))
    return Outcome(found, diverged)


def neighbour(start: Parameters) -> Parameters:
    """Every value but zero moved to the next float64, up or down by a fixed coin."""
    rng = np.random.default_rng(0)
    moved = {}
    for name, values in start.items():
        towards = np.where(rng.random(values.shape) < 0.5, -np.inf, np.inf)
        moved[name] = np.where(values == 0, 0.0, np.nextafter(values, towards))
    return moved
