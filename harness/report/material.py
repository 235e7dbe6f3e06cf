"""What a report is made from: the records of some runs, in an order that depends on their content alone."""

import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness import registry
from harness.backend import Declaration
from harness.errors import InvalidInput, NothingMeasured
from harness.judge import agreement, convergence, speed
from harness.judge.agreement import Verdict
from harness.judge.convergence import Trial
from harness.judge.speed import First, Group
from harness.report.words import (
    batch_text,
    budget_text,
    counted,
    optimizer_text,
    problem_name,
    problem_order,
    recipe_order,
    rest_text,
)
from harness.spec.cell import Budget, Cell
from harness.spec.job import Environment, Job, Measure
from harness.spec.problem import Problem
from harness.spec.recipe import Recipe
from harness.spec.spellings import short
from harness.store import Record, Store

# The colour of each backend in every figure, as a number of the style sheet's palette; others take what is left.
COLOURS = {"reference": 0, "numpy": 1, "torch": 2, "tensorflow": 3, "jax": 4}
SERIES = 10


class About(NamedTuple):
    """A study that was run, as its runs tell."""

    name: str
    about: str
    study: bytes  # as JSON


class Setting(NamedTuple):
    """What runs must share to stand in one figure: all of a cell but recipe, backend and seed."""

    problem: Problem
    budget: Budget
    implementation: str
    device: str
    precision: str
    mode: str
    measure: str = ""  # how it is measured, where that is not the default

    @property
    def name(self) -> str:
        """The problem's name."""
        return problem_name(self.problem)

    @property
    def conditions(self) -> str:
        """The rest in words."""
        return f"{self._place}, {budget_text(self.budget)}{self.measure}"

    @property
    def step_conditions(self) -> str:
        """The rest in words, as far as it concerns a single step."""
        return f"{self._place}, {batch_text(self.budget)}{self.measure}"

    @property
    def _place(self) -> str:
        mode = () if self.mode == "default" else (f"mode {self.mode}",)
        return ", ".join((self.implementation, self.precision, self.device, *mode))


class Contender(NamedTuple):
    """A backend in one environment, as the page shows it; ``series`` is its colour."""

    name: str  # the backend, with what tells it from others of its kind: "torch (torch 2.12.0)"
    backend: str
    title: str
    environment: Environment
    declaration: Declaration | None
    series: int

    def mode(self, asked: str) -> str:
        """The mode that ran."""
        return self.declaration.modes[0] if asked == "default" and self.declaration is not None else asked

    @property
    def compiles(self) -> str:
        """What its first call compiles."""
        return self.declaration.compiles if self.declaration is not None else "unknown"

    @property
    def version(self) -> str:
        """The versions of what it needs."""
        own = [name for name in self.environment.packages if name != "numpy"] or ["numpy"]
        return " ".join(f"{name} {self.environment.packages.get(name, '')}" for name in own)

    @property
    def threads(self) -> str:
        """Its threads in words."""
        return counted(self.environment.threads, "thread")


@dataclass(frozen=True, eq=False)
class Material:
    """Everything that was read."""

    abouts: tuple[About, ...]
    keyed: dict[str, Record]  # by key, in the order of keys
    folders: dict[str, str]  # key → run folder, as replay takes it
    contenders: dict[speed.Contender, Contender]  # in the order of reports

    @property
    def records(self) -> Collection[Record]:
        """Every record, each once."""
        return self.keyed.values()

    def of(self, job: Job) -> Contender:
        """Who ran a job."""
        return self.contenders[speed.contender(job)]

    def present(self, some: Iterable[speed.Contender]) -> list[Contender]:
        """Those among all contenders, in the order of reports."""
        among = set(some)
        return [shown for identity, shown in self.contenders.items() if identity in among]

    def optimizer(self, recipe: Recipe) -> str:
        """A recipe's optimizer and rate; with all its fields where it takes them to tell it apart."""
        return self._optimizers[recipe]

    def recipe(self, recipe: Recipe) -> str:
        """All of a recipe in one line, with its rate."""
        return " + ".join(part for part in (self._optimizers[recipe], rest_text(recipe)) if part)

    @functools.cached_property
    def recipes(self) -> tuple[Recipe, ...]:
        """Every recipe, in the order of reports."""
        return tuple(sorted({record.job.cell.recipe for record in self.records}, key=recipe_order))

    @functools.cached_property
    def settings(self) -> tuple[Setting, ...]:
        """Every setting, in the order of reports."""
        return tuple(sorted({setting(record.job.cell) for record in self.records}, key=setting_order))

    @functools.cached_property
    def verdicts(self) -> list[Verdict]:
        """Every comparison with the reference."""
        return agreement.judge(self.records)

    @functools.cached_property
    def groups(self) -> list[Group]:
        """Every timed cell."""
        return speed.groups(self.records)

    @functools.cached_property
    def first_calls(self) -> list[First]:
        """Every first call."""
        return speed.first_calls(self.records)

    @functools.cached_property
    def trials(self) -> list[Trial]:
        """Every cell that was trained."""
        return convergence.trials(self.records)

    @functools.cached_property
    def _optimizers(self) -> dict[Recipe, str]:
        return {recipe: optimizer_text(recipe, self.recipes) for recipe in self.recipes}


def read(runs: Sequence[Path]) -> Material:
    """Read runs; a record that several of them hold is taken from the first."""
    abouts: set[About] = set()
    found: dict[str, tuple[Record, str]] = {}
    for folder in runs:
        store = Store.open(folder)
        study = store.about().get("study") or {}
        if study.get("name"):
            abouts.add(About(study["name"], study.get("about", ""), msgspec.json.encode(study, order="sorted")))
        for key in sorted(store.keys() - found.keys()):
            found[key] = store.read(key), _shown(folder)
    if not found:
        where = ", ".join(str(run) for run in runs) or "no run"
        raise NothingMeasured(f"nothing to report on: {where} holds no record. Make some with: gradgauge run")
    keyed = {key: record for key, (record, _) in sorted(found.items())}
    return Material(
        tuple(sorted(abouts)),
        keyed,
        {key: folder for key, (_, folder) in found.items()},
        _contenders([record.job for record in keyed.values()]),
    )


def setting(cell: Cell, measure: Measure | None = None) -> Setting:
    """A cell's setting; with ``measure`` kept apart from those that were measured in another way."""
    told = f", {short(measure)}" if measure is not None and measure != type(measure)() else ""
    return Setting(cell.problem, cell.budget, cell.implementation, cell.device, cell.precision, cell.mode, told)


def setting_order(one: Setting) -> tuple[object, ...]:
    """The order in which settings are reported."""
    return (
        *problem_order(one.problem),
        one.implementation,
        one.precision,
        one.device,
        one.mode,
        budget_text(one.budget),
        one.measure,
    )


def _contenders(jobs: Sequence[Job]) -> dict[speed.Contender, Contender]:
    """Every contender, with a name that tells it apart and a colour of its own."""
    by_backend: dict[str, dict[speed.Contender, Environment]] = {}
    for job in jobs:
        by_backend.setdefault(job.cell.backend, {})[speed.contender(job)] = job.environment
    found: dict[speed.Contender, Contender] = {}
    spare = itertools.cycle(range(len(COLOURS), SERIES))
    for backend in sorted(by_backend, key=lambda name: (COLOURS.get(name, SERIES), name)):
        declaration = _declaration(backend)
        title = declaration.title if declaration is not None else backend
        names = sorted((name, identity) for identity, name in _names(backend, by_backend[backend]).items())
        for position, (name, identity) in enumerate(names):
            series = COLOURS[backend] if backend in COLOURS and not position else next(spare)
            found[identity] = Contender(name, backend, title, by_backend[backend][identity], declaration, series)
    return found


def _names(backend: str, environments: dict[speed.Contender, Environment]) -> dict[speed.Contender, str]:
    """Names for one backend's environments: what differs is told until all names differ."""
    packages = {name for environment in environments.values() for name in environment.packages}
    aspects: list[Callable[[Environment], str]] = [
        *(functools.partial(_package, name=name) for name in sorted(packages, key=lambda n: (n == "numpy", n))),
        lambda e: f"Python {e.python}",
        lambda e: counted(e.threads, "thread"),
        lambda e: e.machine,
        lambda e: f"code {e.code[:6]}",
        lambda e: " ".join(f"{name}={value}" for name, value in sorted(e.flags.items())),
    ]
    told = dict.fromkeys(environments, "")
    for aspect in aspects:
        texts = {identity: aspect(environment) for identity, environment in environments.items()}
        if len(set(told.values())) < len(told) and len(set(texts.values())) > 1:
            told = {identity: f"{words}, {texts[identity]}".strip(", ") for identity, words in told.items()}
    return {identity: f"{backend} ({words})" if words else backend for identity, words in told.items()}


def _package(environment: Environment, name: str) -> str:
    return f"{name} {environment.packages.get(name, 'absent')}"


def _declaration(backend: str) -> Declaration | None:
    """The backend's declaration, if this installation knows it."""
    try:
        return registry.find(backend)
    except InvalidInput:
        return None


def _shown(folder: Path) -> str:
    """A run folder as a reader would name it: no path of this machine."""
    return folder.name if folder.is_absolute() else folder.as_posix()
