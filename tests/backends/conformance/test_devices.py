"""On every device that a backend declares beside the host: the same maths, memory that is counted, facts that tell.

Skipped with its reason where there is no such device. All the rest of what a backend must fulfil runs there too:
``pytest tests/backends --backend NAME --device cuda``.
"""

import numpy as np
import pytest

from harness import registry
from harness.errors import Unsupported
from harness.problems import catalogue
from harness.spec.cell import Budget
from harness.spec.optimizers import LBFGS, Adam, Muon
from harness.spec.problem import Network, NoisyQuadratic, RandomGradients
from harness.spec.recipe import L1L2, Adaptive, Decoupled, GlobalNorm, Recipe
from harness.spec.schedules import Cosine

RECIPE = Recipe(Adam(), GlobalNorm(0.1), L1L2(1e-3, 1e-3), Decoupled(0.1), Cosine())
CASES = ("digits-64-10-l2", "digits-cnn", "digits-rows-lstm", "digits-rows-gru", "digits-transformer", "sigmoid-binary")


def pytest_generate_tests(metafunc):
    if "elsewhere" in metafunc.fixturenames:
        devices = registry.find(metafunc.config.getoption("--backend")).devices
        metafunc.parametrize("elsewhere", [device for device in devices if device != "cpu"], indirect=True)


@pytest.fixture
def elsewhere(request, backend):
    """A device beside the host."""
    try:
        backend.work(request.param, 16)
    except Unsupported as error:
        pytest.skip(str(error))
    return request.param


@pytest.mark.parametrize("known", CASES)
def test_networks(run, rounding, elsewhere, known):
    problem, budget = catalogue.case(known).problem, Budget(steps=6, batch=16)
    mine = run(problem, RECIPE, budget, where=elsewhere)
    assert rounding(mine.distance(run(problem, RECIPE, budget, on="reference")), problem, RECIPE, budget)


@pytest.mark.parametrize("recipe", [Recipe(Muon(), Adaptive(0.1)), Recipe(LBFGS())], ids=["muon", "lbfgs"])
@pytest.mark.parametrize("problem", [NoisyQuadratic(), RandomGradients(samples=8, parameters=64, tensors=4)], ids=str)
def test_functions_and_what_looks_at_tensors(run, rounding, elsewhere, problem, recipe):
    budget = Budget(steps=4, batch=2)
    mine = run(problem, recipe, budget, where=elsewhere)
    assert rounding(mine.distance(run(problem, recipe, budget, on="reference")), problem, recipe, budget)


@pytest.mark.parametrize("known", CASES)
def test_shipped_in_float32_learns(make, elsewhere, known):
    problem = catalogue.case(known).problem
    assert isinstance(problem, Network)
    words = {"precision": "float32", "implementation": "shipped", "where": elsewhere}
    trainer, _, order = make(problem, Recipe(Adam(lr=0.003)), Budget(steps=60, batch=32), **words)
    loss = trainer.train(order).loss
    assert np.isfinite(loss).all()
    assert loss[-10:].mean() < loss[:10].mean()


def test_memory_is_counted_and_facts_name_the_gpu(make, backend, elsewhere):
    backend.peak_bytes(elsewhere)
    problem = RandomGradients(samples=1, parameters=10**6)
    trainer, _, order = make(problem, Recipe(Adam()), Budget(steps=3, batch=1), precision="float32", where=elsewhere)
    trainer.train(order)
    assert backend.peak_bytes(elsewhere) >= 4 * 4e6  # w, g and Adam's two averages
    facts = backend.facts()
    assert facts["GPU"] != "none"
    assert {"TF32", "CUDA"} <= set(facts)
