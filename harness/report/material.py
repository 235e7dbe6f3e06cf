"""What a report is made from: records of runs and results of asv's, in an order that depends on their content alone."""

import contextlib
import functools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness import asv_results
from harness.errors import InvalidInput, NothingMeasured
from harness.judge import agreement, convergence, floor, speed
from harness.judge.agreement import Verdict
from harness.judge.convergence import Trial
from harness.judge.floor import Multiple
from harness.judge.speed import First, Group
from harness.report import tracked
from harness.report.contenders import Contender, contenders
from harness.report.tracked import Tracked
from harness.report.words import (
    batch_text,
    budget_text,
    optimizer_text,
    problem_name,
    problem_order,
    recipe_order,
    rest_text,
)
from harness.spec.base import from_json, to_json
from harness.spec.cell import Budget, Case, Cell
from harness.spec.job import Job, Measure
from harness.spec.problem import Problem
from harness.spec.recipe import Recipe
from harness.spec.spellings import short
from harness.store import MARK, Record, Store
from harness.study import Study


class About(NamedTuple):
    """A study that was run, as its runs tell."""

    name: str
    about: str


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


@dataclass(frozen=True, eq=False)
class Material:
    """Everything that was read."""

    abouts: tuple[About, ...]
    keyed: dict[str, Record]  # by key, in the order of keys
    folders: dict[str, str]  # key → run folder, as replay takes it
    studies: dict[str, Study]  # run folder → the study that it was made from, where that can be read
    lines: dict[str, tuple[str, ...]]  # run folder → the words that made it, where a line of the command line did
    remedies: dict[str, str]  # key of a run that is another with a remedy → which
    own: tuple[Case, ...]  # a user's own problems, by name and target, as the runs tell
    unreadable: tuple[str, ...]  # what is wrong with records that cannot be read
    out: str  # where the report is written, as a command takes it
    contenders: dict[speed.Contender, Contender]  # in the order of reports
    asv: Tracked

    @property
    def records(self) -> Collection[Record]:
        """Every record, each once."""
        return self.keyed.values()

    def key(self, record: Record) -> str:
        """A record's key, hashed once."""
        return self._keys.get(id(record)) or record.key

    def of(self, job: Job) -> Contender:
        """Who ran a job."""
        return self.contenders[speed.contender(job)]

    def present(self, some: Iterable[speed.Contender]) -> list[Contender]:
        """Those among all contenders, in the order of reports."""
        among = set(some)
        return [shown for identity, shown in self.contenders.items() if identity in among]

    def present_of(self, some: Iterable[Contender]) -> list[Contender]:
        """These, each once, in the order of reports."""
        among = {one.name for one in some}
        return [shown for shown in self.contenders.values() if shown.name in among]

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
        """Every timed cell, but for updates alone: they are held against their floor."""
        return speed.groups(record for record in self.records if not floor.has_floor(record))

    @functools.cached_property
    def multiples(self) -> list[Multiple]:
        """Every update that was timed alone, with its floor."""
        return floor.multiples(self.records)

    @functools.cached_property
    def first_calls(self) -> list[First]:
        """Every first call."""
        return speed.first_calls(self.records)

    @functools.cached_property
    def trials(self) -> list[Trial]:
        """Every cell that was trained."""
        return convergence.trials(self.records)

    @functools.cached_property
    def _keys(self) -> dict[int, str]:
        return {id(record): key for key, record in self.keyed.items()}

    @functools.cached_property
    def _optimizers(self) -> dict[Recipe, str]:
        return {recipe: optimizer_text(recipe, self.recipes) for recipe in self.recipes}


def read(runs: Sequence[Path], out: Path) -> Material:
    """Read runs and asv's results for a report in ``out``; a record that several runs hold is taken from the first."""
    abouts: set[About] = set()
    studies: dict[str, Study] = {}
    lines: dict[str, tuple[str, ...]] = {}
    own: dict[Case, None] = {}
    remedies: dict[str, str] = {}
    found: dict[str, tuple[Record, str]] = {}
    unreadable: list[str] = []
    empty: list[str] = []
    measured_by_asv = [folder for folder in runs if asv_results.is_results(folder) and not (folder / MARK).is_file()]
    for folder in (folder for folder in runs if folder not in measured_by_asv):
        try:
            store = Store.open(folder)
        except InvalidInput as error:
            if not (folder / MARK).is_file():
                raise
            unreadable.append(str(error))  # a damaged run, beside others that are whole
            continue
        mark = store.about()
        study, line = mark.get("study") or {}, mark.get("line")
        if line:
            lines[shown(folder)] = tuple(line)
        if study.get("name"):
            abouts.add(About(str(study["name"]), str(study.get("about", ""))))
            with contextlib.suppress(InvalidInput):  # of a gradgauge whose studies had other fields
                studies[shown(folder)] = from_json(Study, msgspec.json.encode(study))
        own |= dict.fromkeys(store.problems())
        remedies |= mark.get("remedies") or {}
        records, damaged = store.readable(found)
        found |= {key: (record, shown(folder)) for key, record in records.items()}
        unreadable += damaged
        empty += [] if store.keys() else [f"{shown(folder)} holds no record"]
    asv = tracked.read(measured_by_asv)
    if not found and not asv.results:
        where = ", ".join(str(run) for run in runs) or "no run"
        unread = "".join(f"; {shown(path)}: {reason}" for path, reason in asv.unreadable)
        unread += "".join(f"; {why}" for why in unreadable)
        raise NothingMeasured(f"nothing to report on: {where} holds no record{unread}. Make some with: gradgauge run")
    keyed = {key: record for key, (record, _) in sorted(found.items())}
    return Material(
        tuple(sorted(abouts)),
        keyed,
        {key: folder for key, (_, folder) in found.items()},
        studies,
        lines,
        remedies,
        tuple(sorted(own, key=lambda case: (case.name, to_json(case)))),
        (*unreadable, *empty),
        shown(out),
        contenders([record.job for record in keyed.values()]),
        asv,
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


def shown(folder: Path) -> str:
    """A folder as a command takes it: from the working directory where it lies in there, else as it was given."""
    inside = folder.is_absolute() and folder.is_relative_to(Path.cwd())
    return (folder.relative_to(Path.cwd()) if inside else folder).as_posix()
