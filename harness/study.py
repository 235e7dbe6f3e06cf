"""A study: a named set of grids, and the jobs that they stand for."""

import itertools
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from harness import environment, registry, selectors
from harness.errors import InvalidInput, unknown
from harness.measure import health
from harness.problems import catalogue
from harness.problems import task as tasks
from harness.spec.base import Count, S, Spec, from_toml, key, left_out
from harness.spec.cell import Budget, Case, Cell
from harness.spec.job import TIMED, Agreement, Health, Job, Measure
from harness.spec.problem import Network
from harness.spec.recipe import NoDecay, NoPenalty, Recipe, touched
from harness.spec.spellings import refuse_conflict

DEFAULT_THREADS = 1  # one thread a worker: the sizes here gain nothing from more, and results repeat to the last bit


class Grid(Spec, frozen=True):
    """The product of its selections (see ``harness.selectors``); what is left empty comes from the problem's case."""

    measure: Measure
    problems: tuple[str, ...]
    optimizers: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()
    penalties: tuple[str, ...] = ()
    decays: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()  # empty: all that are installed
    implementation: Literal["exact", "shipped"] = "exact"
    devices: tuple[str, ...] = ("cpu",)
    precisions: tuple[Literal["float32", "float64"], ...] = ("float32",)
    modes: tuple[str, ...] = ("default",)
    seeds: Count = 1
    steps: Annotated[Count | None, left_out("the problem's own length", 1000)] = None
    epochs: Annotated[Count | None, left_out("the problem's own length", 10)] = None
    batch: Annotated[Count | Literal["full"] | None, left_out("the problem's own", 32)] = None
    stop: Annotated[str | None, left_out("the problem's own", "early[patience=5]")] = None


class Study(Spec, frozen=True):
    """A named set of grids."""

    name: str
    about: str
    grids: tuple[Grid, ...]

    def check(self) -> None:
        if not re.fullmatch(r"\w[\w .+-]*", self.name):
            raise InvalidInput(
                f"study.name = {self.name!r}: it names a folder, so write letters, digits and any of _.+-"
            )
        if not self.grids:
            raise InvalidInput("study.grids is empty: give at least one grid")


def overridden(study: Study, **changes: Any) -> Study:
    """The study with some selections replaced in every grid (those given as None or empty are kept)."""
    given = {name: value for name, value in changes.items() if value not in (None, ())}
    for name, value in given.items():
        if isinstance(value, tuple) and not any(text.strip(" ,") for text in value):
            raise InvalidInput(f"{name}: {', '.join(map(repr, value))} selects nothing: the selection is empty")
    if "steps" in given and "epochs" in given:
        raise InvalidInput("give either --steps or --epochs")
    if "steps" in given or "epochs" in given:
        given = {"steps": None, "epochs": None, **given}
    grids = tuple(made for grid in study.grids for made in _overridden(grid, given))
    if not grids:
        raise InvalidInput(f"{study.name} measures no mode of {', '.join(given['backends'])}: add --mode default")
    return msgspec.structs.replace(study, grids=grids)


def _overridden(grid: Grid, given: dict[str, Any]) -> list[Grid]:
    """A grid with its selections replaced; what is compared with the reference keeps the reference.

    Modes that the grid names are of its own backends: others are left out of it, and of each the modes that it lacks.
    """
    if isinstance(grid.measure, Agreement) and "backends" in given:
        others = () if grid.measure.ulp else given["backends"]
        given = {**given, "backends": tuple(dict.fromkeys(("reference", *others)))}
    modes = selectors.names(grid.modes)
    if "backends" not in given or "modes" in given or modes == ["default"]:
        return [msgspec.structs.replace(grid, **given)]
    found, own = [], selectors.names(grid.backends)
    for backend in selectors.names(given["backends"]):
        has = tuple(mode for mode in modes if mode in ("default", *registry.find(backend).modes))
        if has and (not own or backend in own):
            found.append(msgspec.structs.replace(grid, **{**given, "backends": (backend,), "modes": has}))
    return found


@dataclass(frozen=True)
class Selection:
    """The jobs of a study, and the backends that were left out because they cannot run here."""

    jobs: list[Job]
    unavailable: dict[str, str]  # backend, or backend on device → reason, with the line that installs it
    own: tuple[Case, ...] = ()  # those in files of a user's own, whose names and targets the catalogue does not know


def select(study: Study, threads: int = DEFAULT_THREADS, pythons: Mapping[str, str] | None = None) -> Selection:
    """Every job of a study, once; refuses what does not exist before anything runs."""
    pythons = pythons or {}
    own = own_cases(study)
    for backend in pythons:
        registry.find(backend)
    found: dict[str, Job] = {}
    unavailable: dict[str, str] = {}
    for cell, measure in [(cell, grid.measure) for grid in study.grids for cell in cells(grid)]:
        python = interpreter(cell.backend, pythons)
        offered = environment.ask(python, cell.backend)
        missing = offered.lacks(cell.device)
        if missing is not None:
            unavailable[cell.backend if offered.missing else f"{cell.backend} on {cell.device}"] = missing
            continue
        job = Job(cell, measure, environment.fingerprint(python, cell.backend, cell.problem, threads, cell.device))
        found.setdefault(key(job), job)
    alone = all(job.cell.backend == "reference" for job in found.values())
    if not found or (alone and unavailable):
        why = "; ".join(f"{name}: {reason}" for name, reason in unavailable.items()) or "no backend fits it"
        raise InvalidInput(f"the selection of {study.name} is empty ({why})")
    return Selection(list(found.values()), unavailable, own)


def own_cases(study: Study) -> tuple[Case, ...]:
    """The cases in files that a study selects, and the catalogue's of those problems; refuses two targets for one."""
    names = dict.fromkeys(name for grid in study.grids for name in selectors.problems(grid.problems))
    cases = {name: find_case(name) for name in names}
    problems = {case.problem for name, case in cases.items() if name.endswith(".toml")}
    own = tuple(case for case in cases.values() if case.problem in problems)
    catalogue.by_problem(own)
    return own


def cells(grid: Grid) -> list[Cell]:
    """Every cell of a grid, checked against the problem."""
    found = []
    for name in selectors.problems(grid.problems):
        case = find_case(name)
        try:
            chosen, length = _checked(grid, case)
        except InvalidInput as error:
            raise InvalidInput(f"in {name}: {error}") from None
        for recipe in chosen:
            found += _cells(grid, case, recipe, length)
    return found


def _checked(grid: Grid, case: Case) -> tuple[list[Recipe], Budget]:
    """The recipes and the budget that a grid gives a case, which must fit its problem and what is measured."""
    task, length = tasks.make(case.problem), budget(grid, case)
    tasks.batch_size(task.samples, length)
    chosen = recipes(grid, case)
    for piece in (piece for recipe in chosen for piece in (recipe.penalty, recipe.decay)):
        if not isinstance(piece, NoPenalty | NoDecay):
            touched(piece.on, task.parameters)
    if isinstance(grid.measure, Health):
        for recipe in chosen:
            health.refuse(grid.measure, task, recipe, tasks.total_steps(task.samples, length))
    return chosen, length


def _cells(grid: Grid, case: Case, recipe: Recipe, length: Budget) -> list[Cell]:
    axes = itertools.product(
        range(grid.seeds), selectors.names(grid.devices), grid.precisions, selectors.names(grid.modes), _backends(grid)
    )
    return [
        Cell(case.problem, recipe, length, backend, grid.implementation, place, precision, mode, seed)
        for seed, device, precision, mode, backend in axes
        if _fits(grid, backend, place := _place(grid, backend, device), precision, mode)
    ]


def _place(grid: Grid, backend: str, device: str) -> str:
    """Where a cell computes: what others are compared with, on the host wherever they do."""
    if device not in all_devices():
        raise unknown("device", device, all_devices())
    return environment.HOST if isinstance(grid.measure, Agreement) and backend == "reference" else device


def recipes(grid: Grid, case: Case) -> list[Recipe]:
    """Every recipe of a grid; pieces that the grid leaves empty are the case's."""
    own = case.recipe
    optimizers = selectors.optimizers(grid.optimizers) or [(own.optimizer, NoDecay())]
    clips = selectors.clips(grid.clips) or [own.clip]
    penalties = selectors.penalties(grid.penalties) or [own.penalty]
    decays = selectors.decays(grid.decays) or [NoDecay() if grid.optimizers else own.decay]
    schedules = selectors.schedules(grid.schedules) or [own.schedule]
    return [
        Recipe(optimizer, clip, penalty, refuse_conflict("the optimizer", brought, decay), schedule)
        for (optimizer, brought), clip, penalty, decay, schedule in itertools.product(
            optimizers, clips, penalties, decays, schedules
        )
    ]


def find_case(name: str) -> Case:
    """A problem by its catalogue name, changed where fields are given, or a case in a TOML file.

    Of a network these are fields of its data set, of a function its own.
    """
    if name.endswith(".toml"):
        return _beside(_read(Case, name), Path(name).parent)
    if "[" not in name:
        return catalogue.case(name)
    known, given = selectors.changed_problem(name, _fields)
    case = catalogue.case(known)
    if isinstance(case.problem, Network):
        given = {"data": msgspec.structs.replace(case.problem.data, **given)}
    return msgspec.structs.replace(case, name=name, problem=msgspec.structs.replace(case.problem, **given))


def _fields(name: str) -> Sequence[str]:
    """What can be changed of a problem in the catalogue."""
    problem = catalogue.case(name).problem
    return selectors.DATA_FIELDS if isinstance(problem, Network) else problem.__struct_fields__


def _beside(case: Case, folder: Path) -> Case:
    """A case whose data file, where it has one, is found from the folder of the case's own file."""
    problem = case.problem
    if not isinstance(problem, Network) or not problem.data.is_file:
        return case
    data = msgspec.structs.replace(problem.data, name=str(folder / problem.data.name))
    return msgspec.structs.replace(case, problem=msgspec.structs.replace(problem, data=data))


def find_study(name: str, named: Mapping[str, Study]) -> Study:
    """A study by its name, or in a TOML file (what ``show`` prints)."""
    if name.endswith(".toml"):
        return _read(Study, name)
    if name not in named:
        raise unknown("study", name, named)
    return named[name]


def interpreter(backend: str, pythons: Mapping[str, str]) -> str:
    """The interpreter that runs a backend: this one unless another was given."""
    return pythons.get(backend, sys.executable)


_FILES: dict[type[Spec], str] = {
    Case: "is a problem: gradgauge run --problem {name}",
    Study: "is a study: gradgauge run {name}",
}


def _read(kind: type[S], name: str) -> S:
    """A case or study in a TOML file; a file that holds the other one is told where it goes."""
    text = _text(name)
    try:
        return from_toml(kind, text)
    except InvalidInput as error:
        for other, place in _FILES.items():
            if _reads_as(other, text):
                raise InvalidInput(f"{name} {place.format(name=name)}") from None
        raise InvalidInput(f"{name}: {error}") from None


def _reads_as(kind: type[Spec], text: str) -> bool:
    try:
        from_toml(kind, text)
    except InvalidInput:
        return False
    return True


def _text(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"cannot read {name}: it is no UTF-8 text. Give a TOML file, see gradgauge show") from None


def budget(grid: Grid, case: Case) -> Budget:
    """A grid's length and batches, the case's where it has none."""
    own = case.budget
    steps, epochs = grid.steps, grid.epochs
    if steps is None and epochs is None:
        steps, epochs = own.steps, own.epochs
    stop = selectors.stopping(grid.stop) if grid.stop else own.stop
    return Budget(steps=steps, epochs=epochs, batch=grid.batch or own.batch, stop=stop)


def _backends(grid: Grid) -> list[str]:
    """The grid's backends, those that are asked for by name first checked for existence."""
    asked = selectors.names(grid.backends)
    for name in asked:
        registry.find(name)
    return asked if grid.backends else list(registry.declared())


def _fits(grid: Grid, backend: str, device: str, precision: str, mode: str) -> bool:
    """Whether a backend takes part; one that was not asked for by name is left out where it cannot."""
    declaration = registry.find(backend)
    if mode != "default" and mode not in declaration.modes:
        raise unknown(f"mode of {backend}", mode, ("default", *declaration.modes))
    asked = backend in selectors.names(grid.backends)
    return asked or (
        device in declaration.devices
        and precision in declaration.precisions
        and (declaration.timed or not isinstance(grid.measure, TIMED))
    )


def all_devices() -> tuple[str, ...]:
    """Every device that some backend declares."""
    return tuple(dict.fromkeys(d for b in registry.declared().values() for d in b.devices))
