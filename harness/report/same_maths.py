"""The section on agreement: same maths, and where each piece comes from."""

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from harness.judge.agreement import Verdict
from harness.judge.speed import contender, used
from harness.report import commands
from harness.report.material import Material
from harness.report.section import Column, Entry, Section, Table
from harness.report.words import NOTHING, counted, number, problem_name, problem_order
from harness.spec.job import Agreement

LEAD = (
    "Does each framework compute the exact formula? Every comparison starts from the same parameters and sees the same "
    "batches as the reference in float64. A distance is the largest difference of any element of a tensor over the "
    "largest distance that the tensor moved; its tolerance is 100 times what moving every initial value by one unit in "
    "the last place does to the reference, at least 1e−12 (in float32: 1e−4)."
)
PIECES = ("model", "loss", "optimizer", "clip", "penalty", "decay", "schedule")


def section(material: Material) -> Section:
    """Agreement per backend, problem and precision; native and composed per piece."""
    missing = None
    if not material.verdicts:
        missing = ("No backend was compared with the reference in these runs.", commands.missing(material))
    tables = [_table(material, material.verdicts)] if material.verdicts else []
    return Section("agreement", "Same maths", LEAD, [*tables, _origins(material)], missing)


def worst(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The comparison that is farthest off, in units of its tolerance."""
    compared = [verdict for verdict in verdicts if verdict.tensor]
    return max(compared, key=lambda v: v.distance / v.tolerance, default=None)


def where(material: Material, verdict: Verdict) -> str:
    """A comparison in words: recipe and tensor."""
    return f"{material.recipe(verdict.job.cell.recipe)}, {verdict.tensor}"


def _table(material: Material, verdicts: Sequence[Verdict]) -> Table:
    groups: dict[tuple[str, str, str], list[Verdict]] = {}
    for verdict in sorted(verdicts, key=lambda v: (_place(material, v), v.job.cell.precision)):
        cell = verdict.job.cell
        groups.setdefault((material.of(verdict.job).name, problem_name(cell.problem), cell.precision), []).append(
            verdict
        )
    columns = [
        Column("backend"),
        Column("problem"),
        Column("compared", numeric=True),
        Column("distance", group="parameters", numeric=True),
        Column("tolerance", group="parameters", numeric=True),
        Column("one ulp gives", group="parameters", numeric=True),
        Column("distance", group="gradients", numeric=True),
        Column("verdict"),
        Column("worst in", wide=True),
    ]
    return Table(
        "agreement-table",
        "agreement",
        "Distance from the reference",
        columns,
        [_row(material, key, group) for key, group in groups.items()],
        pd.DataFrame([_long(material, verdict) for group in groups.values() for verdict in group]),
        note="The worst of each. One ulp gives: the reference's own response to one unit in the last place. "
        "The CSV has every comparison.",
        again=commands.again(material, (r for r in material.records if isinstance(r.job.measure, Agreement))),
    )


def _place(material: Material, verdict: Verdict) -> tuple[int, tuple[int, str]]:
    order = list(material.contenders)
    return order.index(contender(verdict.job)), problem_order(verdict.job.cell.problem)


def _row(material: Material, key: tuple[str, str, str], group: Sequence[Verdict]) -> list[Entry]:
    compared = [verdict for verdict in group if verdict.tensor]
    parameters, gradients = (worst([v for v in compared if v.what == what]) for what in ("parameters", "gradients"))
    numbers = [
        parameters.distance if parameters else math.nan,
        parameters.tolerance if parameters else math.nan,
        parameters.response if parameters else math.nan,
        gradients.distance if gradients else math.nan,
    ]
    farthest = worst(compared)
    return [
        Entry(key[0], series=material.of(group[0].job).series),
        Entry(key[1], key[2]),
        Entry(str(len(compared)), order=len(compared)),
        *(Entry(number(value, 2), order=value) for value in numbers),
        _verdict(group),
        Entry(where(material, farthest) if farthest else "", _remarks(group)),
    ]


def _verdict(group: Sequence[Verdict]) -> Entry:
    """One word for a group, and how many are not equal."""
    known = [v for v in group if v.tensor and not v.equal and v.explained]
    off = [v for v in group if v.tensor and not v.equal and not v.explained]
    if off:
        return Entry(f"{len(off)} differ", mark="bad")
    if known:
        return Entry(counted(len(known), "known difference"))
    if not any(v.tensor for v in group):
        return Entry("not compared", mark="bad")
    return Entry("equal", mark="good")


def _remarks(group: Sequence[Verdict]) -> str:
    """Why some were not compared, and what is known of differences."""
    silent = Counter(v.reason for v in group if not v.tensor)
    causes = dict.fromkeys(v.explained.cause for v in group if v.explained)
    return "; ".join([f"{count} not compared: {reason}" for reason, count in silent.items()] + list(causes))


def _long(material: Material, verdict: Verdict) -> dict[str, object]:
    cell = verdict.job.cell
    return {
        "backend": material.of(verdict.job).name,
        "problem": problem_name(cell.problem),
        "recipe": material.recipe(cell.recipe),
        "precision": cell.precision,
        "what": verdict.what,
        "tensor": verdict.tensor,
        "distance": verdict.distance,
        "tolerance": verdict.tolerance,
        "response_to_one_ulp": verdict.response,
        "equal": verdict.equal,
        "known_difference": verdict.explained.cause if verdict.explained else "",
        "not_compared": verdict.reason,
    }


def _origins(material: Material) -> Table:
    """Which code computes each piece that was used, and why it is composed or where it differs."""
    found: dict[tuple[str, str, str, str, str, str], set[str]] = {}
    order = {contender.name: place for place, contender in enumerate(material.contenders.values())}
    for record in material.records:
        who, cell = material.of(record.job), record.job.cell
        for piece, origin in used(cell.recipe, record.plan).items():
            words = material.recipe(cell.recipe)
            found.setdefault((who.name, cell.implementation, piece, *origin), set()).add(words)
    keys = sorted(found, key=lambda k: (order[k[0]], k[1], PIECES.index(k[2]) if k[2] in PIECES else 9, k[3], k[4:]))
    series = {contender.name: contender.series for contender in material.contenders.values()}
    names = ("backend", "implementation", "piece", "how", "by", "why")
    recipes = [material.recipe(recipe) for recipe in material.recipes]
    rows, long = [], []
    for key in keys:
        users = [recipe for recipe in recipes if recipe in found[key]]
        mark = "composed" if key[3] == "composed" else ""
        rows.append(
            [
                Entry(key[0], series=series[key[0]]),
                Entry(key[1]),
                Entry(key[2]),
                Entry(key[3], mark=mark),
                Entry(key[4]),
                Entry(key[5] or NOTHING),
                Entry(_users(users, recipes)),
            ]
        )
        long.append(dict(zip(names, key, strict=True)) | {"recipes": "; ".join(users)})
    columns = [
        *(Column(name) for name in names[:4]),
        Column("by what"),
        Column("why, or what is different", wide=True),
        Column("recipes", wide=True),
    ]
    return Table(
        "origins",
        "origins",
        "Native or composed, piece by piece",
        columns,
        rows,
        pd.DataFrame(long),
        note="exact computes the spec's formula to rounding; shipped runs what the framework ships under that name.",
        again=commands.again(material, material.records),
        folded=True,
    )


def _users(users: Sequence[str], every: Sequence[str]) -> str:
    """The recipes that use a piece, in few words."""
    if len(users) == len(every):
        return "all"
    return ", ".join(users) if len(users) <= 4 else f"{', '.join(users[:3])} and {len(users) - 3} more"
