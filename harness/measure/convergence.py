"""How training goes: losses, metrics on every part, gradient norms. No clock: see ``speed``."""

import itertools

import numpy as np

from harness.backend import Trainer
from harness.measure.feedback import Feedback
from harness.measure.run import Outcome, Run, first_not_finite
from harness.measure.series import Series, series
from harness.spec.job import Convergence


def measure(run: Run, what: Convergence) -> Outcome:
    """Train to the budget's end, to where its rule stops, or to the first loss that is not finite.

    Series ``loss`` and ``penalty`` of every step (before its update), ``loss/PART`` and ``metric/PART`` at the
    evaluations (step = updates made), ``gradient_norm`` per tensor every few steps, before the clip; ``stopped`` where
    a rule ended it before its budget.
    """
    trainer = run.trainer(observe=True)
    feedback = Feedback(run, trainer)
    found = evaluated(run, trainer, 0)
    for begin, end in itertools.pairwise(evaluation_moments(len(run.order), what.evaluations)):
        steps = feedback.train(begin, end)
        at = np.arange(begin, begin + len(steps.loss))
        found.append(series("loss", steps.loss, at))
        if steps.penalty.any():
            found.append(series("penalty", steps.penalty, at))
        if steps.norms is not None:
            kept = at % what.norms_every == 0
            for column, name in enumerate(run.task.parameters):
                found.append(series("gradient_norm", steps.norms[kept, column], at[kept], name))
        diverged = first_not_finite(steps.loss)
        if diverged is not None:
            return Outcome(found, begin + diverged)
        found += evaluated(run, trainer, feedback.stopped or end)
        if feedback.stopped is not None:
            found.append(series("stopped", [feedback.stopped], [feedback.stopped]))
            break
    return Outcome(found)


def evaluation_moments(steps: int, evaluations: int) -> list[int]:
    """The start, and so many moments after it: after how many steps."""
    return sorted({round(steps * i / evaluations) for i in range(evaluations + 1)})


def evaluated(run: Run, trainer: Trainer, step: int) -> list[Series]:
    """Loss and metric of every part of the data at the present parameters."""
    found = []
    for part in run.task.parts:
        loss, metric = trainer.evaluate(part)
        found.append(series(f"loss/{part}", [loss], [step]))
        if metric is not None:
            found.append(series(f"metric/{part}", [metric], [step]))
    return found
