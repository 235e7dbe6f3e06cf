"""A warm worker leaks nothing: a job's numbers are the same, to the last bit, cold and after fifty others."""

import random
import sys

import pytest

from harness import registry
from harness.environment import fingerprint
from harness.execute.process import Process
from harness.frames import Request
from harness.problems.catalogue import CATALOGUE
from harness.spec.base import to_json
from harness.spec.cell import Budget, Cell
from harness.spec.job import Agreement, Convergence, Job
from harness.spec.recipe import L1L2, Coupled, Decoupled, GlobalNorm, NoClip, NoDecay, NoPenalty, Recipe
from harness.spec.schedules import Constant, Cosine
from harness.spec.spellings import NINE, optimizer

FIFTY = 50
MEASURES = (Agreement(), Convergence(evaluations=1))


def a_job(backend, rng, precision, problem, measures=MEASURES):
    chosen, brought = optimizer(rng.choice(NINE))
    recipe = Recipe(
        chosen,
        rng.choice((NoClip(), GlobalNorm(0.5))),
        rng.choice((NoPenalty(), L1L2())),
        brought if isinstance(brought, Decoupled) else rng.choice((NoDecay(), Coupled(), Decoupled())),
        rng.choice((Constant(), Cosine())),
    )
    case = CATALOGUE[problem]
    budget = Budget(steps=3, batch=case.budget.batch)
    implementation = rng.choice(("exact", "shipped"))
    cell = Cell(case.problem, recipe, budget, backend, implementation, precision=precision, seed=rng.randrange(3))
    return Job(cell, rng.choice(measures), fingerprint(sys.executable, backend, case.problem, 1))


def series(worker, job):
    reply = worker.ask(Request("run", to_json(job)), 120)
    assert reply.status == "ok", reply.reason
    return [(s.name, s.tensor, s.step, s.index, s.value) for s in reply.series]


@pytest.mark.parametrize("backend", ["numpy", "torch", "tensorflow", "jax"])
def test_cold_and_after_fifty_random_other_jobs(backend):
    if registry.missing(registry.find(backend)):
        pytest.skip(registry.missing(registry.find(backend)))
    rng = random.Random(20)
    wanted = [a_job(backend, rng, precision, "digits-64-10-l2") for precision in ("float64", "float32")]
    cold = []
    for job in wanted:
        worker = Process(backend, sys.executable, 1)
        cold.append(series(worker, job))
        worker.close()
    worker = Process(backend, sys.executable, 1)
    quick = (Agreement(gradients=False),)
    for _ in range(FIFTY):
        problem = rng.choice(("rosenbrock", "random-gradients", "line-fit"))
        series(worker, a_job(backend, rng, rng.choice(("float32", "float64")), problem, quick))
    warm = [series(worker, job) for job in wanted]
    worker.close()
    assert warm == cold
