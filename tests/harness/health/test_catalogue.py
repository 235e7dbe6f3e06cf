"""Every network of the catalogue at its start: theory knows it, and its draws lie where theory expects them."""

import math

import numpy as np
import pytest

from harness import registry
from harness.health.gains import expected
from harness.problems import task as tasks
from harness.problems.catalogue import CATALOGUE
from harness.spec.architecture import is_weight
from harness.spec.cell import Budget, Cell
from harness.spec.optimizers import SGD
from harness.spec.problem import Network
from harness.spec.recipe import Recipe

REFERENCE = registry.find("reference").open(1)
CASES = {case.problem: name for name, case in CATALOGUE.items() if isinstance(case.problem, Network)}
SAMPLES, SEEDS = 8, 4


@pytest.mark.parametrize("problem", CASES, ids=CASES.values())
def test_draws_lie_where_theory_expects(problem):
    """Healthy or not, a start is as it was drawn: ln ‖∂L/∂W‖² within four of theory's spreads of its expectation.

    With a spread s, a logarithm's mean lies s²/2 below that of what it is of; and theory's own draws err by a tenth at
    most. Of the about hundred and fifty weights from four seeds each a Gaussian would leave one in 16000 outside.
    """
    task, rows = tasks.make(problem), np.arange(SAMPLES, dtype=np.int32)
    part = task.parts["training"]
    theory = expected(problem, part.x[:SAMPLES], part.y[:SAMPLES])
    cell = Cell(problem, Recipe(SGD()), Budget(steps=1, batch=SAMPLES), "reference", precision="float64")
    for seed in range(SEEDS):
        trainer = REFERENCE.trainer(cell, task, tasks.initial(task, seed), 1, True)
        for name, g in trainer.gradients(rows).items():
            if not is_weight(name):
                continue
            found, expectation = theory.gradients[name], theory.gradient_square(name, SAMPLES)
            assert found.certainty == "mean field", (name, found.why)
            off = math.log(np.sum(g**2)) - math.log(expectation) + found.spread**2 / 2
            assert abs(off) <= 4 * math.hypot(found.spread, 0.1), (name, off, found.spread)
