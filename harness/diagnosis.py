"""``gradgauge diagnose``: one problem's run, observed and judged; or the observed runs of a folder."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from harness import environment, registry, selectors
from harness.errors import InvalidInput, NothingMeasured
from harness.findings.diagnose import diagnose
from harness.findings.finding import Diagnosis, Finding
from harness.problems import task as tasks
from harness.problems.catalogue import problem_name
from harness.spec.job import Health
from harness.spec.spellings import recipe_label
from harness.store import Record, Store
from harness.study import Grid, Study, budget, find_case, interpreter, overridden

PREFERRED = ("torch", "tensorflow", "jax", "numpy")  # one is enough for a diagnosis: the first that is here
# Of a run, unless it is told otherwise: enough for series to show what happened, few enough to cost little.
OBSERVED, MOST_APART = 200, 10  # steps that are observed at least; at most one in so many
WINDOW, EVALUATIONS = 4, 20  # as in the runs that verdicts were tuned on


class Diagnosed(NamedTuple):
    """One observed run, and what is wrong with it."""

    record: Record
    diagnosis: Diagnosis

    @property
    def name(self) -> str:
        """Problem, recipe, backend and seed."""
        cell = self.record.job.cell
        return f"{problem_name(cell.problem)}, {recipe_label(cell.recipe)}, {cell.backend}, seed {cell.seed}"


def preferred(pythons: Mapping[str, str]) -> str:
    """The first backend that runs here."""
    known = [name for name in PREFERRED if name in registry.declared()]
    there = [name for name in known if environment.ask(interpreter(name, pythons), name).missing is None]
    if not there:
        raise InvalidInput(f"none of {', '.join(PREFERRED)} runs here: see gradgauge doctor")
    return there[0]


def studies(
    problem: str, level: str | None, every: int | None, window: int | None, pythons: Mapping[str, str], **changes: Any
) -> tuple[Study, Study]:
    """The study that observes one problem, with these selections in place of the problem's own; and that without any.

    Raises ``InvalidInput`` where the problem or a selection does not exist, or the window has no room in the run.
    """
    names = selectors.problems((problem,))
    if len(names) != 1:
        raise InvalidInput(f"diagnose takes one problem, not {len(names)}: {', '.join(names) or repr(problem)}")
    stem = Path(problem).stem if problem.endswith(".toml") else problem
    name = re.sub(r"[^\w.+-]+", "-", f"diagnose-{stem}").strip("-")
    measure = Health(level=level or "standard", evaluations=EVALUATIONS)  # type: ignore[arg-type]  # checked there
    plain = Study(name, f"Is anything wrong with {problem}?", (Grid(measure, (names[0],)),))
    if not changes.get("backends"):
        changes["backends"] = (preferred(pythons),)
        plain = overridden(plain, backends=changes["backends"])
    return _fitted(overridden(plain, **changes), every, window), _fitted(plain, None, None)


def _fitted(study: Study, every: int | None, window: int | None) -> Study:
    """With what was not said of its measure set by the run's length."""
    grid = study.grids[0]
    case = find_case(grid.problems[0])
    steps = tasks.total_steps(tasks.make(case.problem).samples, budget(grid, case))
    assert isinstance(grid.measure, Health)
    every = every or min(max(steps // OBSERVED, 1), MOST_APART)
    observed = -(-steps // every)
    if window is not None and window > observed:
        raise InvalidInput(
            f"--window {window}: the run has {observed} observed steps ({steps}, every {every}); give a window of at "
            f"most {observed}, or observe more often"
        )
    measure = replace(grid.measure, every=every, window=window or min(WINDOW, observed))
    return replace(study, grids=(replace(grid, measure=measure),))


def observed(folder: Path, keys: Iterable[str] | None = None) -> list[Diagnosed]:
    """The observed runs of a folder, of these keys only where some are given, judged.

    Raises ``NothingMeasured`` where no run of it was observed.
    """
    store = Store.open(folder)
    records = [store.read(key) for key in sorted(store.keys() if keys is None else store.keys() & set(keys))]
    there = [one for one in records if isinstance(one.job.measure, Health) and one.status in ("ok", "diverged")]
    if not there:
        raise NothingMeasured(
            f"{folder} holds no observed run: gradgauge diagnose PROBLEM makes one, gradgauge run health several"
        )
    order = list(registry.declared())
    found = [Diagnosed(record, diagnose(record)) for record in there]
    return sorted(found, key=lambda one: (_place(order, one.record), one.record.job.cell.seed, one.record.key))


def _place(order: list[str], record: Record) -> tuple[str, int]:
    backend = record.job.cell.backend
    return problem_name(record.job.cell.problem), order.index(backend) if backend in order else len(order)


def plain(one: Diagnosed) -> dict[str, Any]:
    """A diagnosis in plain values, for machines."""
    cell = one.record.job.cell
    return {
        "problem": problem_name(cell.problem),
        "recipe": recipe_label(cell.recipe),
        "backend": cell.backend,
        "precision": cell.precision,
        "seed": cell.seed,
        "job": one.record.key,
        "status": one.record.status,
        "healthy": one.diagnosis.healthy,
        "findings": one.diagnosis.findings,
        "not_observed": one.diagnosis.unjudged,
    }


def table(one: Diagnosed) -> list[dict[str, str]]:
    """A row for each finding."""
    return [_row(finding) for finding in one.diagnosis.findings]


def _row(finding: Finding) -> dict[str, str]:
    # The report's words: its package takes a second to import, which no other verb should wait for.
    from harness.report.health_words import confidence_words, evidence_words, kind_words

    return {
        "finding": kind_words(finding.kind),
        "severity": finding.severity,
        "layer": finding.layer or "the run",
        "since": str(finding.step),
        "why": finding.why,
        "evidence": "\n".join(map(evidence_words, finding.evidence)),
        "confidence": confidence_words(finding.confidence),
        "remedies": "\n".join(name.replace("_", " ") for name in finding.remedies),
    }


def unobserved(found: Iterable[Diagnosed]) -> list[str]:
    """What no run could show, in sentences."""
    from harness.report.health_words import kind_words

    missing = dict.fromkeys((one.kind, one.why) for run in found for one in run.diagnosis.unjudged)
    return [f"not observed: {kind_words(kind)}: {why}" for kind, why in missing]
