"""The backend that is asked for and the reference, opened once, and a run of one cell on either.

``pytest tests/backends --backend torch`` runs what every backend must fulfil (``conformance``), on torch, and torch's
own tests (``torch``). ``--device cuda`` runs it on a GPU, or skips it with the reason.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from harness import registry
from harness.backend import Backend, Integers, Parameters, Steps, Trainer
from harness.errors import Unsupported
from harness.measure import agreement
from harness.measure.run import Builder
from harness.measure.series import table
from harness.problems import task as tasks
from harness.spec.architecture import without_gradient
from harness.spec.cell import Budget, Cell
from harness.spec.job import Agreement
from harness.spec.problem import Network, Problem
from harness.spec.recipe import Recipe


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the other backends' folders alone."""
    name = collection_path.name
    others = collection_path.parent == Path(__file__).parent and name in registry.declared()
    return True if others and name != config.getoption("--backend") else None


class Run(NamedTuple):
    """A trainer, where it started, its batch order, what its first block gave, and its tensors without a gradient."""

    trainer: Trainer
    start: Parameters
    order: Integers
    steps: Steps
    nothing: frozenset[str]

    def distance(self, other: "Run") -> float:
        """The largest distance of a tensor from its counterpart, over the largest distance that it moved there."""
        mine, theirs = self.trainer.parameters(), other.trainer.parameters()
        compared = {name: w for name, w in theirs.items() if name not in self.nothing}
        return max(float(np.abs(mine[n] - w).max() / np.abs(w - self.start[n]).max()) for n, w in compared.items())


@pytest.fixture(scope="session")
def name(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--backend")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--device")


@pytest.fixture(scope="session")
def backend(name: str, device: str) -> Backend:
    opened = registry.find(name).open(threads=1)
    if device not in registry.find(name).devices:
        pytest.skip(f"{name} does not run on {device}")
    try:
        opened.work(device, 16)
    except Unsupported as error:
        pytest.skip(str(error))
    return opened


@pytest.fixture(scope="session")
def precisions(name: str) -> tuple[str, ...]:
    """What the backend computes in, float64 first."""
    return tuple(sorted(registry.find(name).precisions, reverse=True))


@pytest.fixture(scope="session")
def make(name: str, backend: Backend, device: str) -> Callable[..., tuple[Trainer, Parameters, Integers]]:
    """A trainer of a cell at its start, the start and the batch order; ``on`` is this backend or "reference"."""
    backends = {"reference": registry.find("reference").open(threads=1), name: backend}

    def make(
        problem: Problem,
        recipe: Recipe,
        budget: Budget,
        on: str = name,
        precision: str = "float64",
        implementation: str = "exact",
        seed: int = 0,
        observe: bool = True,
        mode: str = "default",
        where: str = device,
    ) -> tuple[Trainer, Parameters, Integers]:
        where = where if on == name else "cpu"
        cell = Cell(problem, recipe, budget, on, implementation, where, precision, mode)
        task = tasks.make(problem)
        start, order = tasks.initial(task, seed), tasks.order(task.samples, budget, seed)
        return backends[on].trainer(cell, task, start, len(order), observe), start, order

    return make


@pytest.fixture(scope="session")
def tolerance() -> Callable[..., float]:
    """What rounding alone may do in float64: 1e-12, or 100 times the reference's response to one ulp of its start."""
    builder = Builder(registry.find("reference").open(threads=1))

    def tolerance(problem: Problem, recipe: Recipe, budget: Budget) -> float:
        task = tasks.make(problem)
        cell = Cell(problem, recipe, budget, "reference", precision="float64")
        opened = builder.open(cell, task, tasks.initial(task, 0))
        rows = {
            ulp: table(agreement.measure(opened, Agreement(gradients=False, ulp=ulp)).series) for ulp in (False, True)
        }
        moved = rows[False].query("series == 'moved'").set_index("tensor")["value"]
        response = rows[True].set_index("tensor")["value"]
        is_network = isinstance(problem, Network)
        nothing = without_gradient(problem.model, task.inputs) if is_network else frozenset()  # moved by rounding alone
        shares = (response / moved.where(moved > 0, 1.0)).drop(list(nothing))
        allowed = max(1e-12, 100 * float(shares.max()))
        assert allowed < 1e-6, "so ill-conditioned that a comparison says nothing"
        return allowed

    return tolerance


@pytest.fixture(scope="session")
def rounding(tolerance: Callable[..., float]) -> Callable[..., bool]:
    """Whether a relative distance is what rounding alone may do: at once up to 1e-12, beyond it by the tolerance."""
    return lambda distance, *cell: distance <= 1e-12 or distance <= tolerance(*cell)


@pytest.fixture(scope="session")
def run(make: Callable[..., tuple[Trainer, Parameters, Integers]]) -> Callable[..., Run]:
    """The same, trained for its budget."""

    def run(*cell: Problem | Recipe | Budget, **words: object) -> Run:
        trainer, start, order = make(*cell, **words)
        problem = cell[0]
        nothing: frozenset[str] = frozenset()
        if isinstance(problem, Network):
            nothing = without_gradient(problem.model, tasks.make(problem).inputs)
        return Run(trainer, start, order, trainer.train(order), nothing)

    return run
