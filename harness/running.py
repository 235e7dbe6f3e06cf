"""Runs a selection of jobs into a run folder, resumably, with progress."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness import estimate
from harness.environment import cores
from harness.errors import InvalidInput
from harness.execute.local import Local, Settings, pending
from harness.problems.catalogue import problem_name
from harness.spec.base import key
from harness.spec.job import TIMED, Agreement, Job
from harness.spec.spellings import optimizer_label
from harness.store import Record, Store
from harness.study import Selection


@dataclass
class Tally:
    """What a run came to: records by status (those already there included), and the troubles in words."""

    done_before: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    measured: int = 0  # jobs that gave numbers, now or before, but for those that others are only compared with

    def sentence(self) -> str:
        """One line that says how it went."""
        ok = self.statuses["ok"]
        rest = f"; {self.others}" if self.others else ""
        return f"{ok} {'job' if ok == 1 else 'jobs'} ok{rest} ({self.done_before} done before)"

    @property
    def others(self) -> str:
        """How many jobs ended in which other way."""
        return ", ".join(f"{count} {status}" for status, count in self.statuses.items() if status != "ok")


def run(name: str, selection: Selection, store: Store, settings: Settings, retry: bool, console: Console) -> Tally:
    """Run what is not yet in the store; give the tally over the whole selection of the study of that name.

    A damaged record is told and left out: it is its owner's to delete.
    """
    damaged = _damaged(selection.jobs, store)
    sound = [job for job in selection.jobs if key(job) not in damaged]
    todo = pending(sound, store, retry)
    tally = Tally(len(sound) - len(todo), Counter(damaged=len(damaged)) if damaged else Counter(), [*damaged.values()])
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[jobs]}/" + str(len(todo)) + " jobs"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        weights = {key(job): _weight(job, settings.threads) for job in todo}
        left = dict(weights)
        bar = progress.add_task(name, total=sum(weights.values()), jobs=0)
        done = 0

        def go_on(job: Job, share: float) -> None:
            where = f"{job.cell.backend} {optimizer_label(job.cell.recipe)}"
            gone = min(share * weights[key(job)], left[key(job)])
            left[key(job)] -= gone
            progress.update(bar, advance=gone, jobs=done, description=f"{name}: {where}")

        def advance(record: Record) -> None:
            nonlocal done
            done += 1
            go_on(record.job, 1.0)

        with Local(store, settings, advance, go_on) as local:
            local.run(todo)
    compared_with = {key(job) for job in selection.jobs if _is_compared_with(job)}
    alone = len(compared_with) == len(selection.jobs)
    for job in sound:
        record_status = store.status(key(job))
        tally.statuses[record_status or "missing"] += 1
        tally.measured += record_status in ("ok", "diverged") and (alone or key(job) not in compared_with)
        if record_status not in ("ok", None):
            cell = job.cell
            reason = store.read(key(job)).reason
            what = f"{problem_name(cell.problem)}, {optimizer_label(cell.recipe)}"
            where = f"{cell.backend} {what} seed {cell.seed} ({job.measure.spelling()})"
            tally.troubles.append(f"{record_status}: {where}: {reason} [job {key(job)}]")
    return tally


def _damaged(jobs: Sequence[Job], store: Store) -> dict[str, str]:
    """The keys of jobs whose records cannot be used, and why."""
    found = {}
    for job in jobs:
        try:
            store.status(key(job))
        except InvalidInput as error:
            found[key(job)] = str(error)
    return found


def _is_compared_with(job: Job) -> bool:
    """Whether a job is the reference's, there for the sake of others."""
    return job.cell.backend == "reference" and isinstance(job.measure, Agreement)


def _weight(job: Job, threads: int) -> float:
    """A job's share of the time, as the bar counts it."""
    slots = 1 if isinstance(job.measure, TIMED) else max(1, cores() // threads)
    return estimate.seconds(job) / slots
