"""What ``compare`` is given: runs and results of asv's, by the names that people have for them."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import asv_results
from harness.asv_results import Result, Results, Unreadable
from harness.errors import InvalidInput, NothingMeasured
from harness.judge import measurements
from harness.judge.measurements import Measured
from harness.problems import catalogue
from harness.store import MARK, Store

SHORTEST = 4  # characters of a commit's hash, as git has it


@dataclass(frozen=True)
class Side:
    """What A or B turned out to be."""

    name: str
    measured: Measured
    versions: Mapping[str, str] = field(default_factory=dict)  # of asv's benchmarks
    unreadable: Sequence[str] = ()
    commit: str = ""  # of a result of asv's


def side(asked: str, folder: Path) -> Side:
    """A run folder, a file of asv's, or ``COMMIT[:ENVIRONMENT[:MACHINE]]`` in a folder of asv's results."""
    path = Path(asked)
    if (path / MARK).is_file():
        try:
            store = Store.open(path)
            records, damaged = store.readable()
        except InvalidInput as error:  # it is what was asked for, but there is nothing left of it
            raise NothingMeasured(str(error)) from None
        if damaged and not records:
            raise NothingMeasured(f"{asked} holds no record that can be read: {damaged[0]}")
        with catalogue.knowing(store.problems()):
            return Side(
                asked, measurements.of_run(records.values()), unreadable=[f"left out: {why}" for why in damaged]
            )
    if path.is_dir():
        asv = "Of asv's results name one: a file, or COMMIT:ENVIRONMENT:MACHINE with --results"
        cure = asv if asv_results.is_results(path) else "Runs are made by: gradgauge run"
        raise InvalidInput(f"{asked} is no run: it has no {MARK}. {cure}")
    if path.is_file():
        result, unreadable = asv_results.read_file(path)
        return _of_asv(result, _told(unreadable))
    name, _, _ = asked.partition(":")
    if Path(name).name != name and _revision(name) is None:
        raise InvalidInput(f"{asked}: there is no such run or file, and git knows no such commit")
    if not folder.is_dir():
        raise InvalidInput(f"{asked} is no run, no file, and no commit: there is no folder {folder} (see --results)")
    results = asv_results.read(folder)
    return _of_asv(choose(results, asked), _told(results.unreadable))


def _told(unreadable: Sequence[Unreadable]) -> list[str]:
    lead = {asv_results.BENCHMARKS: ""}  # without it results can be read all the same
    return [f"{lead.get(one.path.name, 'left out: cannot read ')}{one.path}: {one.reason}" for one in unreadable]


def _of_asv(result: Result, unreadable: Sequence[str]) -> Side:
    facts = {**result.facts, "machine": {"machine": result.machine}}
    return Side(result.name, Measured(result.measurements, facts), result.versions, unreadable, result.commit)


def choose(results: Results, asked: str) -> Result:
    """The result of ``COMMIT[:ENVIRONMENT[:MACHINE]]``: a hash or its beginning, or what git calls a commit.

    Of environment and machine a part of the name will do, where it is of one result only.
    """
    name, environment, machine = (*asked.split(":", 2), "", "")[:3]
    short = len(name) < SHORTEST
    commits = sorted({one.commit for one in results.found if not short and one.commit.startswith(name)})
    if not commits and (full := _revision(name)) is not None:
        commits, name, short = [full], full, False
    if short:
        raise InvalidInput(f"{asked} is no run, no file, and too short for a commit: give {SHORTEST} characters")
    if len(commits) > 1:
        raise InvalidInput(f"{asked}: several commits begin so: {', '.join(commit[:12] for commit in commits)}")
    candidates = [one for one in results.found if one.commit in commits]
    there = _called(machine, candidates, lambda one: one.machine)
    chosen = _called(environment, there, lambda one: one.environment)
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        several = "; ".join(f"{one.path} ({one.environment} on {one.machine})" for one in chosen)
        raise InvalidInput(f"{asked} has several results, give COMMIT:ENVIRONMENT:MACHINE or a file: {several}")
    broken = [one for one in results.unreadable if name and one.path.name.startswith(name[:8])]
    if broken:
        raise NothingMeasured(f"{asked}: cannot read {broken[0].path}: {broken[0].reason}")
    names = ", ".join(f"{one.commit[:8]}:{one.environment}:{one.machine}" for one in candidates or results.found)
    if not names:
        unread = "".join(f"; {one.path}: {one.reason}" for one in results.unreadable)
        raise NothingMeasured(f"{results.folder} holds no result that can be read{unread}. asv run makes some")
    raise InvalidInput(f"{asked} is no run, no file and no result in {results.folder}; there are: {names}")


def _called(asked: str, some: Sequence[Result], name: Callable[[Result], str]) -> list[Result]:
    """The results whose name is what is asked for; if there are none, those whose name holds it."""
    return [one for one in some if name(one) == asked] or [one for one in some if asked in name(one)]


def _revision(name: str) -> str | None:
    """The commit that git, asked here, knows by a name."""
    if not name or name.startswith("-"):
        return None
    line = ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=10)
    except OSError:
        return None  # no git
    return done.stdout.strip() or None
