"""The observed runs of a report with what was found in them; those that differ in their backend alone are one case."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.findings.diagnose import diagnose
from harness.findings.finding import Diagnosis, Finding
from harness.findings.seen import Seen
from harness.judge import convergence
from harness.report.contenders import Contender
from harness.report.material import Material, Setting, setting, setting_order
from harness.report.words import budget_text, recipe_order
from harness.spec.job import Health
from harness.spec.recipe import Recipe
from harness.store import Record

BEFORE = " (before any remedy)"


@dataclass(frozen=True, eq=False)
class Run:
    """One observed run and its diagnosis."""

    record: Record
    contender: Contender
    seen: Seen
    diagnosis: Diagnosis

    @cached_property
    def trained(self) -> convergence.Run:
        """How it trained."""
        return convergence.Run(self.record)

    @property
    def diverged_at(self) -> int | None:
        """The step whose loss was not finite."""
        return self.trained.diverged_at

    @property
    def end(self) -> tuple[str, float]:
        """The last value of the held-out metric, or of what comes closest to it, with its series; ±inf where lost."""
        kinds = ("metric/validation", "metric/training", "loss/training")
        name = next((name for name in kinds if self.trained.points(name)[0].size), "loss/training")
        return name, self.trained.final(name)


@dataclass(frozen=True)
class Numbered:
    """What was found in one layer of one case, by one backend or several."""

    number: int
    found: tuple[tuple[Run, Finding], ...]

    @property
    def finding(self) -> Finding:
        """That of the first backend."""
        return self.found[0][1]


@dataclass(frozen=True, eq=False)
class Case:
    """One problem, recipe and seed, run by some backends."""

    rest: str  # of its name: the recipe; seed and conditions where it takes them to tell cases apart
    setting: Setting
    recipe: Recipe
    seed: int
    runs: tuple[Run, ...]  # in the order of reports

    @property
    def label(self) -> str:
        """Its name on the page."""
        return f"{self.setting.name}, {self.rest}"

    @cached_property
    def numbered(self) -> tuple[Numbered, ...]:
        """The findings of all its runs, those of one kind and layer together, numbered from 1."""
        alike: dict[tuple[str, str], list[tuple[Run, Finding]]] = {}
        for run in self.runs:
            for finding in run.diagnosis.findings:
                alike.setdefault((finding.kind, finding.layer), []).append((run, finding))
        return tuple(Numbered(place, tuple(found)) for place, found in enumerate(alike.values(), 1))

    @cached_property
    def alike(self) -> tuple[tuple[Run, ...], ...]:
        """Its runs by what they alarm of: one of each group stands for the others in a drawing."""
        groups: dict[frozenset[tuple[str, str]], list[Run]] = {}
        for run in self.runs:
            alarms = frozenset((f.kind, f.layer) for f in run.diagnosis.findings if f.alarms)
            groups.setdefault(alarms, []).append(run)
        return tuple(tuple(group) for group in groups.values())

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with any of its runs."""
        return all(run.diagnosis.healthy for run in self.runs)

    def of(self, run: Run) -> list[tuple[int, Finding]]:
        """What was found in one run, with its numbers."""
        return [(one.number, finding) for one in self.numbered for whose, finding in one.found if whose is run]


@functools.cache
def cases(material: Material) -> tuple[Case, ...]:
    """Every case that holds numbers, in the order of reports."""
    found: dict[tuple[Setting, Recipe, int], list[Run]] = {}
    for record in material.records:
        cell, measure = record.job.cell, record.job.measure
        if isinstance(measure, Health) and record.status in ("ok", "diverged"):
            one = Run(record, material.of(record.job), Seen(record), diagnose(record))
            found.setdefault((setting(cell, measure), cell.recipe, cell.seed), []).append(one)
    order = list(material.contenders.values())
    remedies = {key: _remedy(material, runs) for key, runs in found.items()}
    before = {key: remedies[key] == BEFORE for key in found}
    keys = sorted(found, key=lambda key: (setting_order(key[0]), not before[key], recipe_order(key[1]), key[2]))
    return tuple(
        Case(rest + remedies[key], *key, tuple(sorted(found[key], key=lambda run: order.index(run.contender))))
        for rest, key in zip(_rests(material, keys), keys, strict=True)
    )


def _remedy(material: Material, runs: Sequence[Run]) -> str:
    """Which remedy these runs are of, or that they are those before any, where their folder holds some that are."""
    keys = [material.key(run.record) for run in runs]
    names = {material.remedies[key] for key in keys if key in material.remedies}
    if names:
        return f" (remedy: {', '.join(sorted(name.replace('_', ' ') for name in names))})"
    treated = {material.folders[key] for key in material.remedies.keys() & material.folders.keys()}
    return BEFORE if any(material.folders[key] in treated for key in keys) else ""


def _rests(material: Material, keys: Sequence[tuple[Setting, Recipe, int]]) -> list[str]:
    """What tells the cases of a problem apart."""
    seeds = len({seed for *_, seed in keys}) > 1
    places: dict[str, set[Setting]] = {}
    for one, *_ in keys:
        places.setdefault(one.name, set()).add(one)
    return [
        ", ".join((material.recipe(recipe), *((f"seed {seed}",) if seeds else ()), *_differing(one, places[one.name])))
        for one, recipe, seed in keys
    ]


def _differing(one: Setting, among: set[Setting]) -> Iterator[str]:
    """Those of a setting's conditions in which some settings differ."""
    for field, words in (
        ("implementation", one.implementation),
        ("precision", one.precision),
        ("device", one.device),
        ("mode", f"mode {one.mode}"),
        ("budget", budget_text(one.budget)),
        ("measure", one.measure.removeprefix(", ") or "measured as usual"),
    ):
        if len({getattr(other, field) for other in among}) > 1:
            yield words


def drawn_alone(cases: Sequence[Case]) -> list[tuple[Case, bool]]:
    """The cases that get figures of their own, of several seeds the first and what is ill; whether each is folded away.

    Open is the first with a finding in a layer, or the first of all.
    """
    seeds: dict[tuple[Setting, Recipe], int] = {}
    for case in cases:
        seeds.setdefault((case.setting, case.recipe), case.seed)
    drawn = [case for case in cases if not case.healthy or case.seed == seeds[case.setting, case.recipe]]
    marked = [case for case in drawn if any(one.finding.layer for one in case.numbered)]
    first = (marked or drawn)[0]
    return [(case, case is not first) for case in drawn]


def stand_for(group: Sequence[Run], case: Case) -> str:
    """Whose run is drawn, and for whom it stands."""
    first, *others = (run.contender.name for run in group)
    if not others:
        return first if len(case.runs) > 1 else ""
    return f"{first}, {', '.join(others)} alike"
