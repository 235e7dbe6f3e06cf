"""The lines that make a figure's records again.

A line repeats the whole selection that its run was made from; nothing narrower is certain to select the figure's
records, because options change every grid of a study.
"""

import contextlib
import functools
import itertools
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from harness import selectors, studies
from harness.errors import InvalidInput
from harness.problems.catalogue import CATALOGUE
from harness.report.material import Material
from harness.report.words import counted, problem_name
from harness.spec.base import key
from harness.spec.cell import Budget, Case, Cell
from harness.spec.job import Measure
from harness.store import Record
from harness.study import DEFAULT_THREADS, Grid, Study, find_case, overridden, recipes

Axes = tuple[Cell, Measure]


class Again(NamedTuple):
    """The lines that make some records again, and what must be said of records that no line makes."""

    lines: tuple[str, ...]
    words: str = ""


def again(material: Material, records: Iterable[Record]) -> Again:
    """A line for each selection that made some of the records; a replay for a single record."""
    every = list(records)
    if len(every) == 1:
        return Again((replay(material, material.key(every[0])),))
    found = [_made_by(material, material.key(record)) for record in every]
    lines, strays = set(filter(None, found)), found.count("")
    words = f"{counted(strays, 'record')} of no known selection: run each again by its key in records.csv."
    return Again(tuple(sorted(lines)), words if strays else "")


def replay(material: Material, key: str) -> str:
    """The line that runs one record again."""
    return shlex.join(["gradgauge", "replay", material.folders[key], key])


def missing(material: Material) -> str:
    """The line that makes what a section lacks."""
    problems = dict.fromkeys(problem_name(one.problem) for one in material.settings)
    known = ",".join(name for name in problems if name in CATALOGUE)
    return shlex.join(["gradgauge", "run", *(["--problem", known] if known else [])])


def files(material: Material) -> dict[str, Study]:
    """The studies that have no name here, each with the name of the file that tells it."""
    found: dict[str, Study] = {}
    for study in sorted(set(material.studies.values()), key=lambda one: (one.name, key(one))):
        if _named(study) is None:
            stem = "study-" + re.sub(r"[^\w.-]+", "-", study.name)
            numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
            found[next(name for number in numbers if (name := f"{stem}{number}.toml") not in found)] = study
    return found


@functools.cache
def _made_by(material: Material, key: str) -> str:
    """The line that makes a record, among others; empty if its folder's study does not select it."""
    job, study = material.keyed[key].job, material.studies.get(material.folders[key])
    if study is None or not _selects(study, job.cell, job.measure):
        return ""
    return _line(material, study, job.environment.threads)


@functools.cache
def _line(material: Material, study: Study, threads: int) -> str:
    """What makes a whole study again: its name and options, else its file beside the page."""
    words = _named(study)
    if words is None:
        file = next(name for name, other in files(material).items() if other == study)
        words = "run", (Path(material.out) / file).as_posix()
    return shlex.join(["gradgauge", *words, *(["--threads", str(threads)] if threads != DEFAULT_THREADS else [])])


@functools.cache
def _named(study: Study) -> tuple[str, ...] | None:
    """The verb, study and options that select just this study; None if no name here stands for it."""
    if study.name in AGREEMENT:
        return _agreement(study)
    named = studies.STUDIES.get(study.name)
    if named is None:
        return None
    changes = {}
    for field in _OPTIONS:
        asked = {getattr(grid, field) for grid in study.grids}
        if len(asked) == 1 and asked != {getattr(grid, field) for grid in named.grids}:
            changes[field] = asked.pop()
    if overridden(named, **changes) != study:
        return None
    given = {_OPTIONS[field]: value for field, value in changes.items() if value not in (None, ())}
    options = [(f"--{name}", ",".join(v) if isinstance(v, tuple) else str(v)) for name, v in given.items()]
    return ("run", study.name, *itertools.chain(*options))


def _agreement(study: Study) -> tuple[str, ...] | None:
    """The verb ``agree`` with its options."""
    if len(study.grids) < 2:
        return None
    single = study.grids[-2]  # every variant of every optimizer, in one precision
    for backends, optimizers in itertools.product(((), single.backends), ((), single.optimizers)):
        if studies.agreement(study.name == AGREEMENT[1], backends, optimizers) == study:
            options = (("--backend", ",".join(backends)), ("--optimizer", ",".join(optimizers)))
            full = ("--all",) if study.name == AGREEMENT[1] else ()
            return ("agree", *full, *(word for option in options if option[1] for word in option))
    return None


def _selects(study: Study, cell: Cell, measure: Measure) -> bool:
    """Whether running a study runs a cell."""
    asked = _axes(cell, measure)
    return any(
        cell.seed < seeds and cell.backend in (backends or [cell.backend])
        for seeds, backends in _selected(study).get(asked, ())
    )


def _axes(cell: Cell, measure: Measure) -> Axes:
    """All of a job but its backend and seed."""
    return replace(cell, backend="", seed=0), measure


@functools.cache
def _selected(study: Study) -> dict[Axes, list[tuple[int, list[str]]]]:
    """What a study selects: how many seeds and which backends (none: all that are installed)."""
    found: dict[Axes, list[tuple[int, list[str]]]] = {}
    for grid in study.grids:
        rest = selectors.names(grid.devices), grid.precisions, selectors.names(grid.modes)
        for case in _cases(grid):
            for recipe, device, precision, mode in itertools.product(recipes(grid, case), *rest):
                cell = Cell(case.problem, recipe, _budget(grid, case), "", grid.implementation, device, precision, mode)
                found.setdefault((cell, grid.measure), []).append((grid.seeds, selectors.names(grid.backends)))
    return found


def _cases(grid: Grid) -> Iterator[Case]:
    """The grid's problems; a file that is gone selects nothing."""
    for name in selectors.names(grid.problems):
        with contextlib.suppress(InvalidInput):
            yield find_case(name)


def _budget(grid: Grid, case: Case) -> Budget:
    """The grid's length and batch, the case's where it has none."""
    own = case.budget
    steps, epochs = (grid.steps, grid.epochs) if grid.steps or grid.epochs else (own.steps, own.epochs)
    return Budget(steps, epochs, grid.batch or own.batch)


AGREEMENT = ("agreement", "agreement-all")
_OPTIONS = {
    **{f"{name}s": name for name in ("problem", "optimizer", "clip", "decay", "schedule", "backend", "device", "mode")},
    **{"penalties": "penalty", "precisions": "precision", "seeds": "seeds", "steps": "steps", "epochs": "epochs"},
}
