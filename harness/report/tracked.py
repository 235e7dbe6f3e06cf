"""What asv measured, as the page shows it: machines, their commits, contenders with colours, tracks of benchmarks."""

import functools
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness import asv_results
from harness.asv_results import Benchmark, Entry, Result, Unreadable
from harness.judge import compare
from harness.judge.compare import Compared
from harness.judge.kinds import BYTES, DIVERGED, SECONDS, STEPS
from harness.judge.speed import MARGIN
from harness.report.contenders import COLOURS, SERIES
from harness.report.words import counted


class Tracker(NamedTuple):
    """A contender of asv's: a backend in a mode, with its environment where that takes it to tell it apart."""

    name: str
    series: int


class Point(NamedTuple):
    """One entry of a result."""

    result: Result
    entry: Entry


@dataclass(frozen=True, eq=False)
class Track:
    """One benchmark on one machine."""

    benchmark: Benchmark
    points: dict[tuple[str, str], list[Point]]  # (parameters, contender) → by commit; each the benchmark's last version

    @property
    def rows(self) -> list[str]:
        """All combinations of parameters but the contender, as the suite has them."""
        return list(dict.fromkeys(parameters for parameters, _ in self.points))

    @property
    def who(self) -> list[str]:
        """All contenders that were not skipped everywhere."""
        measured = [who for (_, who), points in self.points.items() if not all(p.entry.skipped for p in points)]
        return list(dict.fromkeys(measured))

    def at(self, parameters: str, who: str, commit: str) -> Point | None:
        """What was measured there, if it was."""
        points = self.points.get((parameters, who), ())
        return next((point for point in points if point.result.commit == commit), None)


class Change(NamedTuple):
    """The newest result of an environment against one before it."""

    before: Result
    after: Result
    compared: Compared
    others: Sequence[str]  # benchmarks that measure something else now

    @property
    def words(self) -> str:
        """What could not be compared; empty if all was."""
        told = (
            (len(self.others), "benchmark", "of another version"),
            (len(self.compared.only_a), "measurement", "before only"),
            (len(self.compared.only_b), "measurement", "after only"),
            (len(self.compared.nowhere), "measurement", "without a number on both sides"),
        )
        return "; ".join(f"{counted(count, what)} {where}" for count, what, where in told if count)


def _change(before: Result, after: Result) -> Change:
    others = asv_results.changed(before.versions, after.versions)
    a, b = (
        {key: one for key, one in result.measurements.items() if key.measure not in others}
        for result in (before, after)
    )
    return Change(before, after, compare.compare(a, b, MARGIN), others)


@dataclass(frozen=True, eq=False)
class Machine:
    """All results of one machine, oldest commit first."""

    name: str
    results: Sequence[Result]
    trackers: dict[str, Tracker]  # of all machines, in the order of reports

    @property
    def commits(self) -> list[str]:
        """Oldest first."""
        return list(dict.fromkeys(result.commit for result in self.results))

    @property
    def newest(self) -> str:
        """The newest commit that was measured here."""
        return self.commits[-1]

    @functools.cached_property
    def tracks(self) -> list[Track]:
        """Every benchmark: seconds first, then bytes, steps and the rest, by name."""
        names = _contenders(self.results)
        found: dict[str, Track] = {}
        versions = {name: version for result in self.results for name, version in result.versions.items()}
        for result in self.results:
            old = asv_results.changed(result.versions, versions)
            for key, entry in result.entries.items():
                if key.measure not in old:
                    track = found.setdefault(key.measure, Track(entry.benchmark, {}))
                    where = entry.parameters, names[entry.contender, result.environment]
                    track.points.setdefault(where, []).append(Point(result, entry))
        return sorted(found.values(), key=lambda track: (_place(track.benchmark), track.benchmark.name))

    @functools.cached_property
    def changes(self) -> list[Change]:
        """The newest result of each environment against the last one before that shares a measurement with it."""
        found = []
        for environment in dict.fromkeys(result.environment for result in self.results):
            *others, after = [result for result in self.results if result.environment == environment]
            every = [_change(before, after) for before in reversed(others)]
            found += [next((one for one in every if one.compared.comparisons), every[0])] if every else []
        return found


@dataclass(frozen=True, eq=False)
class Tracked:
    """Everything that was read of asv's."""

    results: Sequence[Result]
    unreadable: Sequence[Unreadable]

    @functools.cached_property
    def machines(self) -> list[Machine]:
        """Every machine, by name."""
        names = sorted({result.machine for result in self.results})
        return [Machine(name, [r for r in self.results if r.machine == name], self.trackers) for name in names]

    @functools.cached_property
    def trackers(self) -> dict[str, Tracker]:
        """Every contender by name: the first of a backend in its colour."""
        everyone: dict[str, None] = {}
        for machine in {result.machine for result in self.results}:
            here = [result for result in self.results if result.machine == machine]
            names = _contenders(here)
            found = ((entry, result) for result in here for entry in result.entries.values() if not entry.skipped)
            everyone |= dict.fromkeys(names[entry.contender, result.environment] for entry, result in found)
        ordered = sorted(everyone, key=lambda name: (COLOURS.get(_backend(name), SERIES), name))
        own = {COLOURS[_backend(name)] for name in ordered if _backend(name) in COLOURS}
        spare = itertools.cycle(sorted(set(range(SERIES)) - own))
        taken: set[str] = set()
        trackers = {}
        for name in ordered:
            backend = _backend(name)
            first = backend in COLOURS and backend not in taken
            trackers[name] = Tracker(name, COLOURS[backend] if first else next(spare))
            taken.add(backend)
        return trackers

    @property
    def scope(self) -> Iterator[tuple[str, str]]:
        """What was measured, in words."""
        for machine in self.machines:
            commits = counted(len(machine.commits), "commit")
            newest = f"the newest {machine.newest[:8]}"
            combinations = sum(len(track.points) for track in machine.tracks)
            benchmarks = f"{counted(len(machine.tracks), 'benchmark')} in {counted(combinations, 'combination')}"
            yield f"asv on {machine.name}", f"{commits}, {newest}; {benchmarks}"


def read(folders: Iterable[Path]) -> Tracked:
    """Everything of asv's in some folders; an empty one is told as one that cannot be used."""
    results: list[Result] = []
    unreadable: list[Unreadable] = []
    for folder in folders:
        found = asv_results.read(folder)
        results += found.found
        unreadable += found.unreadable
        if not found.found:
            unreadable.append(Unreadable(folder, "it holds no result that can be read: asv run makes them"))
    return Tracked(sorted(results, key=lambda one: (*one.order, one.environment, one.machine)), unreadable)


def _contenders(results: Sequence[Result]) -> dict[tuple[str, str], str]:
    """(contender, environment) → its name, with the environment where a contender was measured in several."""
    measured: dict[tuple[str, str], bool] = {}
    for result in results:
        for entry in result.entries.values():
            pair = entry.contender, result.environment
            measured[pair] = measured.get(pair, False) or not entry.skipped
    labels = _labels({environment for _, environment in measured})
    names = {}
    for (who, environment), numbers in measured.items():
        others = [found for (other, place), found in measured.items() if other == who and place != environment]
        alone = not others or (numbers and not any(others))
        names[who, environment] = " ".join(filter(None, (who, "" if alone else f"({labels[environment]})"))) or "value"
    return names


def _labels(environments: Collection[str]) -> dict[str, str]:
    """Each environment by its kind, where there are several, and the parts of its name that others of it lack."""
    kinds: dict[str, list[list[str]]] = {}
    for environment in environments:
        kind, *parts = environment.split("-")
        kinds.setdefault(kind, []).append(parts)
    found = {}
    for kind, every in kinds.items():
        shared = set.intersection(*map(set, every))
        for parts in every:
            own = [kind] * (len(kinds) > 1) + [part for part in parts if part not in shared]
            whole = "-".join((kind, *parts))
            found[whole] = "-".join(own) or whole
    return found


def _backend(name: str) -> str:
    return name.partition(" ")[0]


def _place(benchmark: Benchmark) -> int:
    kinds = (SECONDS, BYTES, STEPS, DIVERGED)
    return kinds.index(benchmark.kind) if benchmark.kind in kinds else len(kinds)
