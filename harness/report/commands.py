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

from harness import selectors
from harness.errors import InvalidInput
from harness.problems.catalogue import CATALOGUE
from harness.report.material import Material
from harness.report.words import counted, problem_name
from harness.spec.base import key
from harness.spec.cell import Case, Cell
from harness.spec.job import Measure
from harness.store import Record
from harness.study import DEFAULT_THREADS, Grid, Study, budget, find_case, recipes

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
    by_line: dict[str, list[str]] = {}
    for name in map(material.key, every):
        by_line.setdefault(_made_by(material, name), []).append(name)
    strays = by_line.pop("", [])
    of_remedies = sum(name in material.remedies for name in strays)
    told = (
        (of_remedies, "of remedies: gradgauge diagnose FILE --remedy makes them, of the problem's own file."),
        (len(strays) - of_remedies, "of no known selection: run each again by its key in records.csv."),
    )
    return Again(tuple(sorted(by_line)), " ".join(f"{counted(n, 'record')} {words}" for n, words in told if n))


def replay(material: Material, key: str) -> str:
    """The line that runs one record again."""
    return shlex.join(["gradgauge", "replay", material.folders[key], key])


def missing(material: Material) -> str:
    """The line that makes what a section lacks."""
    problems = dict.fromkeys(problem_name(one.problem) for one in material.settings)
    known = ",".join(name for name in problems if name.partition("[")[0] in CATALOGUE)
    return shlex.join(["gradgauge", "run", *(["--problem", known] if known else [])])


def files(material: Material) -> dict[str, Study]:
    """The studies of folders that no line of the command line made, each with the name of the file that tells it."""
    found: dict[str, Study] = {}
    unnamed = {study for folder, study in material.studies.items() if folder not in material.lines}
    for study in sorted(unnamed, key=lambda one: (one.name, key(one))):
        stem = "study-" + re.sub(r"[^\w.-]+", "-", study.name)
        numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        found[next(name for number in numbers if (name := f"{stem}{number}.toml") not in found)] = study
    return found


@functools.cache
def _made_by(material: Material, key: str) -> str:
    """The line that makes a record, among others; empty if its folder's study does not select it."""
    job, folder = material.keyed[key].job, material.folders[key]
    study = material.studies.get(folder)
    line = _line(material, folder, job.environment.threads) if study is not None else ""
    if key in material.remedies and folder in material.lines:
        return line if "--remedy" in material.lines[folder] else f"{line} --remedy"
    return line if study is not None and _selects(study, job.cell, job.measure) else ""


@functools.cache
def _line(material: Material, folder: str, threads: int) -> str:
    """What makes all of a folder again: the line that made it, else its study's file beside the page."""
    words = material.lines.get(folder)
    if words is None:
        file = next(name for name, study in files(material).items() if study == material.studies[folder])
        words = "run", (Path(material.out) / file).as_posix()
    return shlex.join(["gradgauge", *words, *(["--threads", str(threads)] if threads != DEFAULT_THREADS else [])])


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
                cell = Cell(case.problem, recipe, budget(grid, case), "", grid.implementation, device, precision, mode)
                found.setdefault((cell, grid.measure), []).append((grid.seeds, selectors.names(grid.backends)))
    return found


def _cases(grid: Grid) -> Iterator[Case]:
    """The grid's problems; a file that is gone selects nothing."""
    for name in selectors.problems(grid.problems):
        with contextlib.suppress(InvalidInput):
            yield find_case(name)
