"""``gradgauge diagnose --remedy``: each proposed remedy applied, the run made again, before beside after."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from harness import environment
from harness.diagnosis import Diagnosed
from harness.findings.diagnose import diagnose
from harness.findings.finding import Diagnosis
from harness.findings.remedies import Treated, treated
from harness.findings.seen import Seen
from harness.problems import catalogue
from harness.spec.base import key
from harness.spec.cell import Case
from harness.spec.job import Health, Job
from harness.spec.losses import metric
from harness.spec.problem import Network
from harness.spec.spellings import recipe_label
from harness.spec.toml import to_toml
from harness.store import Record, Store, write_atomically, writing_to
from harness.study import interpreter


class Trial(NamedTuple):
    """One remedy of one run."""

    remedy: str
    run: Treated
    job: Job


class Outcome(NamedTuple):
    """How a run ended, before a remedy or after."""

    remedy: str  # "" before
    record: Record
    diagnosis: Diagnosis | None  # None where nothing was measured

    def loss(self, part: str) -> float:
        """A part's loss at the end; ∞ of a run that diverged, NaN where it was not evaluated."""
        return math.inf if self.record.status == "diverged" else _last(self.record, f"loss/{part}")


def proposed(one: Diagnosed, pythons: Mapping[str, str]) -> list[Trial]:
    """The remedies of all that alarms, what is wrong first first, each changed run once."""
    job, seen = one.record.job, Seen(one.record)
    assert isinstance(job.measure, Health)
    found: dict[str, Trial] = {}
    for finding in one.diagnosis.findings:
        for name in finding.remedies if finding.alarms else ():
            run = treated(seen, finding, name)
            if run is not None:
                again = _job(run, job, pythons)
                found.setdefault(key(again), Trial(name, run, again))
    return list(found.values())


def _job(run: Treated, before: Job, pythons: Mapping[str, str]) -> Job:
    assert isinstance(before.measure, Health)
    cell, now = run.cell, before.environment
    made = environment.fingerprint(
        interpreter(cell.backend, pythons), cell.backend, cell.problem, now.threads, cell.device
    )
    return Job(cell, replace(before.measure, faults=run.faults), made)


def outcomes(one: Diagnosed, trials: Sequence[Trial], store: Store) -> list[Outcome]:
    """The run before any remedy, and after each."""
    after = [(trial.remedy, store.read(key(trial.job))) for trial in trials]
    judged = [
        Outcome(remedy, record, diagnose(record) if record.status in ("ok", "diverged") else None)
        for remedy, record in after
    ]
    return [Outcome("", one.record, one.diagnosis), *judged]


def best(found: Sequence[Outcome]) -> Outcome | None:
    """The remedy with the least loss at the end that is below that before: of the samples that were trained on.

    Of the validation part, where what alarms first is that these were over-fitted.
    """
    before, *after = found
    assert before.diagnosis is not None
    first = next(finding for finding in before.diagnosis.findings if finding.alarms)
    part = "validation" if first.kind == "over_fitting" else "training"
    measured = [one for one in after if math.isfinite(one.loss(part))]
    least = min(measured, key=lambda one: one.loss(part), default=None)
    return least if least is not None and not least.loss(part) >= before.loss(part) else None


def cases(trials: Sequence[Trial], before: Diagnosed) -> Iterator[Case]:
    """The problems that remedies made, each with the name that reports call it."""
    for trial in trials:
        problem = trial.run.cell.problem
        if problem != before.record.job.cell.problem and catalogue.known_case(problem) is None:
            yield _case(trial.remedy, trial.job, before)


def write(found: Outcome, before: Diagnosed, path: Path) -> list[str]:
    """The remedy's run as a file that every verb takes; gives what the file does not say, in sentences."""
    cell, measure = found.record.job.cell, found.record.job.measure
    with writing_to(path.parent):
        write_atomically(path, to_toml(_case(found.remedy, found.record.job, before)).encode())
    notes = []
    if cell.precision != before.record.job.cell.precision:
        notes.append(f"{path} is to be run with --precision {cell.precision}")
    if isinstance(measure, Health) and measure.faults != _faults(before):
        notes.append(f"{found.remedy} undoes what was planted, which a file does not say")
    elif _faults(before):
        notes.append("a file does not say what was planted")
    return notes


def _faults(one: Diagnosed) -> tuple[Any, ...]:
    measure = one.record.job.measure
    return measure.faults if isinstance(measure, Health) else ()


def _case(remedy: str, job: Job, before: Diagnosed) -> Case:
    cell, old = job.cell, before.record.job.cell.problem
    problem = cell.problem
    if isinstance(problem, Network) and problem.data.is_file:  # found from the file's own folder
        problem = replace(problem, data=replace(problem.data, name=str(Path(problem.data.name).absolute())))
    name, target = catalogue.problem_name(old), catalogue.target(old)
    words = remedy.replace("_", " ")
    return Case(f"{name}, {words}", f"{name} with a remedy: {words}", problem, cell.recipe, cell.budget, target)


def table(found: Sequence[Outcome]) -> list[dict[str, str]]:
    """A row for the run before, and for each remedy."""
    from harness.report.health_words import kind_words
    from harness.report.words import number

    chosen = best(found)
    rows = []
    for one in found:
        left = () if one.diagnosis is None else one.diagnosis.findings
        alarms = ", ".join(dict.fromkeys(kind_words(finding.kind) for finding in left if finding.alarms))
        rows.append(
            {
                "remedy": (one.remedy.replace("_", " ") or "before") + (" (best)" if one is chosen else ""),
                **{name: number(value) for name, value in _numbers(one).items()},
                "findings": alarms or ("none" if one.diagnosis is not None else one.record.reason),
                "recipe": recipe_label(one.record.job.cell.recipe),
            }
        )
    return rows


def plain(found: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The same in plain values, for machines."""
    chosen = best(found)
    return [
        {
            "remedy": one.remedy or None,
            "job": one.record.key,
            "status": one.record.status,
            **{name.replace(" ", "_"): value for name, value in _numbers(one).items()},
            "findings": [] if one.diagnosis is None else [f.kind for f in one.diagnosis.findings if f.alarms],
            "best": one is chosen,
        }
        for one in found
    ]


def _numbers(one: Outcome) -> dict[str, float]:
    problem = one.record.job.cell.problem
    found = {"training loss": one.loss("training")}
    if isinstance(problem, Network):
        found["validation loss"] = one.loss("validation")
        found[f"validation {metric(problem.loss)}"] = _last(one.record, "metric/validation")
    return found


def _last(record: Record, series: str) -> float:
    values = record.series(series)
    return float(values["value"].iloc[-1]) if len(values) else math.nan
