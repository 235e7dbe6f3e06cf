"""The same diagnosis whoever trains: every problem of the catalogue, and one of each fault, beside the reference."""

import pytest
from msgspec.structs import replace

from harness import registry
from harness.findings.diagnose import diagnose
from harness.measure import health
from harness.measure.run import Builder
from harness.measure.series import table
from harness.problems import task as tasks
from harness.problems.catalogue import CATALOGUE, case
from harness.spec.cell import Budget, Cell
from harness.spec.fault import Put, Rate, Scale, Shift
from harness.spec.job import Environment, Health, Job
from harness.spec.optimizers import SGD
from harness.spec.recipe import GlobalNorm, Recipe
from harness.store import Record

ENVIRONMENT = Environment("", {}, "", "", "", 1, {})
STEPS = 16
STANDING = ("digits-64-10-l2", "digits-transformer", "deep-sigmoid", "deep-relu-bad-init", "rnn-long", "rosenbrock")
SMALL = case("digits-64-64-64-10").problem
PLAIN = Recipe(SGD(0.1))
FAULTS = {
    "scaled up": (PLAIN, (Scale(8, "dense2.weight", 20.0),)),
    "scaled down": (PLAIN, (Scale(8, "dense2.weight", 0.01),)),
    "dead": (PLAIN, (Shift(8, "dense1.bias", -30.0),)),
    "nan": (PLAIN, (Put(7, "dense2.weight", "nan", 5),)),
    "rate": (PLAIN, (Rate(9, 0.01),)),
    "too large": (Recipe(SGD(20.0)), ()),
    "too small": (Recipe(SGD(1e-5)), ()),
    "clipped": (Recipe(SGD(0.1), clip=GlobalNorm(1e-3)), ()),
}


@pytest.fixture(scope="module")
def findings(name, backend, device):
    builders = {"reference": Builder(registry.find("reference").open(threads=1)), name: Builder(backend)}

    def findings(on, problem, recipe, budget, faults=()):
        place = device if on == name else "cpu"
        cell = Cell(problem, recipe, budget, on, device=place, precision="float64")
        what = Health(every=2, window=2, evaluations=1, faults=faults)
        task = tasks.make(problem)
        outcome = health.measure(builders[on].open(cell, task, tasks.initial(task, 0)), what)
        status = "ok" if outcome.diverged is None else "diverged"
        record = Record(Job(cell, what, ENVIRONMENT), status, table=table(outcome.series))
        return [(one.kind, one.severity, one.layer, one.step) for one in diagnose(record).findings]

    return findings


@pytest.mark.parametrize("problem", CATALOGUE)
def test_every_problem_of_the_catalogue(request, findings, name, problem):
    if problem not in STANDING and not request.config.getoption("--whole"):
        pytest.skip("with --whole")
    known = case(problem)
    steps = STEPS // 2 if "pixels" in problem else STEPS
    run = known.problem, known.recipe, replace(known.budget, steps=steps, epochs=None)
    assert findings(name, *run) == findings("reference", *run)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault(findings, name, fault):
    recipe, faults = FAULTS[fault]
    run = SMALL, recipe, Budget(steps=STEPS, batch=32), faults
    said = findings(name, *run)
    assert said == findings("reference", *run)
    assert any(severity != "note" for _, severity, _, _ in said)
