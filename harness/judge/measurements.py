"""From a run's records to what a comparison takes: lower is better in all of it.

A metric that is better when higher (accuracy, R²) is turned into what is missing to 1.
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_field

import numpy as np
from msgspec.structs import replace

from harness.judge import convergence, speed
from harness.judge.convergence import Run, Trial
from harness.judge.kinds import FAILED, LEVEL, SECONDS, STEPS, Key, Kind, Measurement
from harness.judge.speed import Contender
from harness.measure.pace import RESPONSE
from harness.problems.catalogue import problem_name
from harness.spec.cell import Budget, Cell
from harness.spec.job import Convergence, FirstCall, Measure, Speed
from harness.spec.losses import metric
from harness.spec.problem import Network
from harness.spec.recipe import Recipe
from harness.spec.spellings import recipe_label, short
from harness.store import Record

PHASES = {"import": "first call: import", "build": "first call: build", "first_step": "first call: first step"}
Facts = Mapping[str, str]


@dataclass(frozen=True)
class Measured:
    """One side: what it measured, and who measured it with what."""

    measurements: Mapping[Key, Measurement]
    facts: Mapping[str, Facts]  # by Key.who


def of_run(records: Iterable[Record]) -> Measured:
    """Step times, first calls, endings and steps to the target of a run's records."""
    every = [record for record in records if isinstance(record.job.measure, Speed | FirstCall | Convergence)]
    names = _names({speed.contender(record.job) for record in every})
    found: dict[Key, Measurement] = {}
    for record in every:
        if isinstance(record.job.measure, Speed | FirstCall):
            who, what = names[speed.contender(record.job)], _what(record.job.cell, record.job.measure)
            found |= {Key(who, what, measure): one for measure, one in _timed(record).items()}
    for trial in convergence.trials(every):
        who, what = names[trial.contender], _what(trial.cell, trial.records[0].job.measure)
        found |= {Key(who, what, measure): one for measure, one in _trained(trial).items()}
    return Measured(found, {name: _facts(contender) for contender, name in names.items()})


def differences(a: Mapping[str, Facts], b: Mapping[str, Facts]) -> list[str]:
    """What became of the circumstances of those who are on both sides, a line each; their machine is left out."""
    found = []
    for who in sorted(a.keys() & b.keys()):
        one, other = ({fact: text for fact, text in side[who].items() if fact != "machine"} for side in (a, b))
        changed = [fact for fact in dict.fromkeys((*one, *other)) if one.get(fact) != other.get(fact)]
        words = [f"{fact} {one.get(fact, 'none')} → {other.get(fact, 'none')}" for fact in changed]
        found += [f"{who}: {', '.join(words)}"] if words else []
    return found


def _timed(record: Record) -> dict[str, Measurement]:
    measure, session = record.job.measure, record.facts.get("session", "")
    phase = f"{measure.phase} time" if isinstance(measure, Speed) else ""
    series = {phase: "step_seconds"} if phase else {words: f"{name}_seconds" for name, words in PHASES.items()}
    if record.status != "ok":
        return {words: _failed(SECONDS, record) for words in series}
    pairing = f"block {session}" if session else ""
    found = {words: Measurement(SECONDS, _values(record, name), pairing) for words, name in series.items()}
    paces = _values(record, "pace")
    seconds = found[phase].values if phase else {}
    whole = "pace" in record.facts and all(paces.get(label, 0.0) > 0 for label in seconds)  # not a damaged record
    if isinstance(measure, Speed) and seconds and whole:
        labels = np.array_split(sorted(seconds), measure.processes)
        at_pace = {label: seconds[label] / paces[label] ** RESPONSE for label in seconds}
        medians = tuple(float(np.median([at_pace[label] for label in some])) for some in labels)
        environment = record.job.environment
        where = f"{record.facts['pace']}, {environment.machine}, {environment.threads} threads"  # BLAS may use them all
        found[phase] = replace_field(found[phase], processes=medians, pace=where)
    return found


def _trained(trial: Trial) -> dict[str, Measurement]:
    """Where runs ended and when they met the target, by seed, which repeat to the last bit; and how many failed."""
    lost = [record for record in trial.records if record.status not in ("ok", "diverged")]
    why = _failed(FAILED, lost[0]).failed if lost else ""
    found = {"failed": Measurement(FAILED, {0: float(len(lost))}, noisy=False, failed=why)}
    for series in _endings(trial.runs):
        kind, _, part = series.partition("/")
        quality = kind == "metric"
        words = f"{part} loss" if not quality else f"{part} {_missing(trial.cell)}"
        found[words] = _by_seed(LEVEL, trial.runs, functools.partial(_final, series, quality))
    target, judged_by = trial.target, trial.judged_by
    if target is not None and trial.runs:
        found["steps to target"] = _by_seed(STEPS, trial.runs, lambda run: run.steps_to(target, judged_by))
    return found


def _by_seed(kind: Kind, runs: Sequence[Run], value: Callable[[Run], float]) -> Measurement:
    values = {run.record.job.cell.seed: value(run) for run in runs}
    kept = {seed: number for seed, number in values.items() if not math.isnan(number)}
    return Measurement(kind, kept, "seed", noisy=False, failed="" if kept else "no number")


def _endings(runs: Sequence[Run]) -> list[str]:
    """Held-out losses and metrics; of the training part where there are no others."""
    every = sorted({series for run in runs for series in run.series if "/" in series})
    held_out = [series for series in every if not series.endswith("/training")]
    return held_out or every


def _missing(cell: Cell) -> str:
    """What a metric lacks to 1, in a word."""
    name = metric(cell.problem.loss) if isinstance(cell.problem, Network) else ""
    return "error (1 − accuracy)" if name == "accuracy" else f"1 − {name}"


def _final(series: str, quality: bool, run: Run) -> float:
    return 1 - run.final(series) if quality else run.final(series)


def _values(record: Record, series: str) -> dict[int, float]:
    rows = record.series(series)
    return dict(zip(rows["step"].tolist(), rows["value"].tolist(), strict=True))


def _failed(kind: Kind, record: Record) -> Measurement:
    return Measurement(kind, {}, failed=f"{record.status}: {record.reason}".removesuffix(": "))


def _what(cell: Cell, measure: Measure) -> str:
    """A cell but for its backend, and how it is measured, as far as that is not the default."""
    trained = isinstance(measure, Convergence)
    plain = Cell(cell.problem, Recipe(cell.recipe.optimizer), Budget(steps=1), cell.backend)
    told = [f"{problem_name(cell.problem)}: {recipe_label(cell.recipe)}", cell.implementation]
    told += [
        f"{value}" for name in ("precision", "device", "mode") if (value := getattr(cell, name)) != getattr(plain, name)
    ]
    budget = cell.budget if trained else replace(cell.budget, steps=None, epochs=1)
    told += [f"batch {budget.batch}"] if budget.batch != plain.budget.batch else []
    if trained:
        told.append(f"{budget.steps} steps" if budget.steps else f"{budget.epochs} epochs")
        told += [short(budget.stop)] if budget.stop != plain.budget.stop else []
    elif cell.seed:
        told.append(f"seed {cell.seed}")
    settings = measure if not isinstance(measure, Speed) else replace(measure, phase="step")
    told += [short(settings)] if settings != type(settings)() else []
    return ", ".join(told)


def _names(contenders: set[Contender]) -> dict[Contender, str]:
    """The backend, and where a run holds it in several environments what tells them apart."""
    by_backend: dict[str, list[Contender]] = {}
    for contender in sorted(contenders):
        by_backend.setdefault(contender.backend, []).append(contender)
    names = {}
    for backend, alike in by_backend.items():
        shown = [dict(_facts(contender)) for contender in alike]
        told = [
            fact for fact in dict.fromkeys(f for one in shown for f in one) if len({s.get(fact) for s in shown}) > 1
        ]
        for contender, facts in zip(alike, shown, strict=True):
            words = ", ".join(f"{fact} {facts.get(fact, 'absent')}" for fact in told)
            names[contender] = f"{backend} ({words})" if words else backend
    return names


def _facts(contender: Contender) -> dict[str, str]:
    """A contender's environment, fact by fact."""
    return {
        **dict(contender.packages),
        "Python": contender.python,
        "threads": str(contender.threads),
        **dict(contender.flags),
        "code": contender.code[:8],
        "machine": contender.machine,
    }
