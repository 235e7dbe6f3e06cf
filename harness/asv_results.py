"""Reads what asv wrote: ``.asv/results``, by asv's own library. What cannot be read is told by file, never dropped.

    RESULTS/benchmarks.json                   units and names of parameters
    RESULTS/MACHINE/machine.json
    RESULTS/MACHINE/COMMIT-ENVIRONMENT.json   one result
    RESULTS/facts/COMMIT-ENVIRONMENT.facts    what it was measured with, if the suite tells: {backend: {fact: text}}

Of every benchmark lower is better, a value that is null failed, one that is NaN was skipped. The parameter called
``contender`` says who computes; a benchmark that has none is its own contender.
"""

import ast
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import InvalidInput, NothingMeasured
from harness.judge.kinds import BYTES, DIVERGED, LEVEL, SECONDS, STEPS, Key, Kind, Measurement
from harness.judge.ratio_interval import Quartiles

BENCHMARKS, MACHINE, FACTS = "benchmarks.json", "machine.json", "facts"
PRESENT = "present-existing"  # of each backend's latest run in the present environment, of whatever commit
CONTENDER = "contender"
KINDS = {"seconds": SECONDS, "bytes": BYTES, "steps": STEPS}
BY_PREFIX = {"time_": "seconds", "peakmem_": "bytes", "mem_": "bytes"}  # where asv's own table does not tell
GUESSED = "units are told by names, and single numbers decide nothing"
# What a file that another program wrote, or half of one, makes asv's loader raise.
_BROKEN = (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)


class Benchmark(NamedTuple):
    """What a benchmark's numbers are."""

    name: str
    names: tuple[str, ...] = ()  # of its parameters
    unit: str = "unit"
    listed: bool = True  # in asv's own table; else its unit is guessed

    @property
    def kind(self) -> Kind:
        """What is compared, and its words."""
        diverged = self.name.rpartition(".")[2].endswith("diverged")
        return DIVERGED if diverged else KINDS.get(self.unit, LEVEL._replace(unit=self.unit.removeprefix("unit")))

    @property
    def noisy(self) -> bool:
        """Whether the same program gives another number each time, as clocks, their ratios and peaks of memory do.

        What asv's table does not list may.
        """
        peak = self.kind is BYTES and "peak" in self.name.rpartition(".")[2]
        return self.unit.startswith("seconds") or peak or not (self.listed or self.kind is DIVERGED)


class Entry(NamedTuple):
    """One benchmark at one combination of parameters."""

    benchmark: Benchmark
    contender: str
    parameters: str  # all but the contender, in one line
    measurement: Measurement
    skipped: bool = False


@dataclass(frozen=True)
class Result:
    """One machine, commit and environment."""

    path: Path
    machine: str
    commit: str
    environment: str
    date: int  # of the commit, in milliseconds
    started: int
    entries: Mapping[Key, Entry]
    versions: Mapping[str, str]  # of benchmarks: another version measures something else
    facts: Mapping[str, Mapping[str, str]]

    @property
    def name(self) -> str:
        """Commit, environment and machine, in short."""
        return f"{self.commit[:8]}:{self.environment} on {self.machine}"

    @property
    def order(self) -> tuple[int, int, str]:
        """By the commit's date; commits of one second by when they were measured."""
        return self.date, self.started, self.commit

    @property
    def measurements(self) -> dict[Key, Measurement]:
        """What a comparison takes: all that was not skipped."""
        return {key: entry.measurement for key, entry in self.entries.items() if not entry.skipped}

    @property
    def backends(self) -> set[str]:
        """Those that a contender is named after: its first word."""
        return {key.who.partition(" ")[0] for key in self.measurements}


class Unreadable(NamedTuple):
    """A file that could not be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Results:
    """Everything in a folder of asv's, oldest commit first."""

    folder: Path
    found: Sequence[Result]
    unreadable: Sequence[Unreadable] = field(default=())


def is_results(folder: Path) -> bool:
    """Whether a folder is asv's, be it an empty one."""
    inside = (folder / BENCHMARKS).exists() or next(folder.glob(f"*/{MACHINE}"), None) is not None
    return folder.is_dir() and (inside or ".asv" in folder.absolute().parts)


def read(folder: Path) -> Results:
    """All results of a folder."""
    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {folder}: asv run makes it, or name another with --results")
    benchmarks, unreadable = _benchmarks(folder)
    found: list[Result] = []
    for path in sorted(folder.glob("*/*.json")):
        if path.name == MACHINE:
            continue
        one = _result(path, benchmarks)
        unreadable += [one] if isinstance(one, Unreadable) else []
        found += [one] if isinstance(one, Result) else []
    unreadable += _unlisted(folder, benchmarks, found)
    facts = {path.stem: _facts(path) for path in sorted((folder / FACTS).glob(f"*.{FACTS}"))}
    unreadable += [told for told in facts.values() if isinstance(told, Unreadable)]
    known = {name: told for name, told in facts.items() if not isinstance(told, Unreadable)}
    latest = max((one.started for one in found if one.environment.startswith("existing")), default=None)
    found = [replace(one, facts={**one.facts, **_of(one, known, one.started == latest)}) for one in found]
    return Results(folder, sorted(found, key=lambda one: (*one.order, one.environment, one.machine)), unreadable)


def read_file(path: Path) -> tuple[Result, Sequence[Unreadable]]:
    """One result, with its facts where it lies among asv's, and what is wrong with these or the table of benchmarks.

    Refuses one that cannot be read itself, with its reason.
    """
    folder = path.absolute().parent.parent
    if is_results(folder):
        results = read(folder)
        for one in results.found:
            if one.path.samefile(path):
                shared = (BENCHMARKS, f".{FACTS}")  # other results are not asked for
                return one, [told for told in results.unreadable if told.path.name.endswith(shared)]
    benchmarks, unreadable = _benchmarks(folder)
    found = _result(path, benchmarks)
    if isinstance(found, Unreadable):
        raise NothingMeasured(f"cannot read {path}: {found.reason}")
    return found, unreadable


def _result(path: Path, benchmarks: Mapping[str, Benchmark]) -> Result | Unreadable:
    from asv import results, util  # quarter of a second, which only those pay who have results

    try:
        loaded = results.Results.load(str(path))
        names = loaded.get_all_result_keys()
        entries = {key: entry for name in names for key, entry in _entries(loaded, name, benchmarks)}
        started = max((int(at) for at in loaded.started_at.values() if at is not None), default=0)
        return Result(
            path,
            str(loaded.params["machine"]),
            str(loaded.commit_hash),
            str(loaded.env_name),
            int(loaded.date),
            started,
            entries,
            {name: str(version) for name, version in loaded.benchmark_version.items() if version is not None},
            {"environment": _environment(loaded)},
        )
    except util.UserError as error:
        return Unreadable(path, _without(str(error), path))
    except _BROKEN as error:
        return Unreadable(path, f"it is no result of asv's ({type(error).__name__}: {error})")


def _environment(loaded: Any) -> dict[str, str]:
    """What asv itself says of an environment. Requirements of ``existing`` ones it does not know."""
    needed = {str(name): str(version) or "newest" for name, version in loaded._requirements.items()}
    variables = {str(name): str(value) for name, value in loaded.env_vars.items()}
    told = {str(name): str(value) for name, value in loaded.params.items() if name != "machine" and value}
    machine = {name: value for name, value in told.items() if not Path(value).is_absolute()}
    return {"environment": str(loaded.env_name), **machine, **needed, **variables}


def _entries(loaded: Any, name: str, benchmarks: Mapping[str, Benchmark]) -> Iterator[tuple[Key, Entry]]:
    """Every combination of a benchmark's parameters."""
    params = loaded.get_result_params(name) or []
    benchmark = benchmarks.get(name) or Benchmark(name, unit=_guess(name), listed=False)
    names = benchmark.names if len(benchmark.names) == len(params) else (CONTENDER,) * bool(params)
    place = names.index(CONTENDER) if CONTENDER in names else None
    columns = (loaded.get_result_value, loaded.get_result_stats, loaded.get_result_samples)
    for combination, value, stats, samples in zip(
        itertools.product(*params), *(column(name, params) for column in columns), strict=True
    ):
        words = [_plain(text) for text in combination]
        who = words.pop(place) if place is not None else ""
        measurement, parameters = _measurement(benchmark, value, stats, samples), ", ".join(words)
        entry = Entry(benchmark, who, parameters, measurement, isinstance(value, float) and math.isnan(value))
        yield Key(who, parameters, name), entry


def _measurement(
    benchmark: Benchmark, value: float | None, stats: Mapping[str, float] | None, samples: Sequence[float] | None
) -> Measurement:
    kind = benchmark.kind
    if value is None or math.isnan(value):
        return Measurement(kind, {}, failed="failed" if value is None else "skipped")
    if samples:
        return Measurement(kind, dict(enumerate(map(float, samples))))
    if stats:
        quartiles = Quartiles(float(stats["q_25"]), float(stats["q_75"]), int(float(stats["repeat"])))
        return Measurement(kind, {0: float(value)}, quartiles=quartiles)
    return Measurement(kind, {0: float(value)}, noisy=benchmark.noisy)


def _benchmarks(folder: Path) -> tuple[dict[str, Benchmark], list[Unreadable]]:
    """Units and parameters' names; where the table is missing or broken, what the benchmarks' names tell."""
    from asv import benchmarks, util

    path = folder / BENCHMARKS
    try:
        table = util.load_json(str(path), api_version=benchmarks.Benchmarks.api_version)
        return {
            name: Benchmark(name, tuple(map(str, about["param_names"])), str(about["unit"]))
            for name, about in table.items()
            if isinstance(about, dict)
        }, []
    except FileNotFoundError:
        return {}, [Unreadable(path, f"there is none: the first parameter is the contender, {GUESSED}")]
    except util.UserError as error:
        return {}, [Unreadable(path, _without(str(error), path))]
    except _BROKEN as error:
        return {}, [Unreadable(path, f"it is no table of asv's benchmarks ({type(error).__name__}: {error})")]


def _unlisted(folder: Path, benchmarks: Mapping[str, Benchmark], results: Sequence[Result]) -> list[Unreadable]:
    """What asv's table, if there is one, does not list of what was measured: asv writes it anew at each run."""
    names = {key.measure for one in results for key in one.entries} - benchmarks.keys()
    if not names or not benchmarks:
        return []
    first, *others = sorted(names)
    more = f" and {len(others)} others" if others else ""
    return [Unreadable(folder / BENCHMARKS, f"it does not list {first}{more}: {GUESSED}")]


def _facts(path: Path) -> dict[str, dict[str, str]] | Unreadable:
    """What the suite told of its backends."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {str(who): {str(fact): str(value) for fact, value in facts.items()} for who, facts in told.items()}
    except _BROKEN as error:
        return Unreadable(path, f"it holds no facts ({type(error).__name__}: {error})")


def _of(one: Result, facts: Mapping[str, Mapping[str, Mapping[str, str]]], latest: bool) -> Mapping[str, Any]:
    """The facts that belong to a result; of the present environment's those of backends that it has numbers of."""
    own = facts.get(f"{one.commit[:8]}-{one.environment}")
    if own is not None or not latest:
        return own or {}
    return {who: told for who, told in facts.get(PRESENT, {}).items() if who in one.backends}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The benchmarks whose version is another: they measure something else now."""
    return sorted(name for name, version in after.items() if before.get(name, version) != version)


def _guess(name: str) -> str:
    own = name.rpartition(".")[2]
    return next((unit for prefix, unit in BY_PREFIX.items() if own.startswith(prefix)), "unit")


def _plain(text: str) -> str:
    """A parameter as it was written: asv keeps its ``repr``."""
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return str(text)


def _without(message: str, path: Path) -> str:
    """asv's message without the path, which is told beside it."""
    for shown in (str(path.absolute()), str(path)):
        message = message.replace(f" in file '{shown}'", "").replace(f"results file '{shown}'", "it")
        message = message.replace(f"file '{shown}'", "it").replace(shown, "it")
    return message
