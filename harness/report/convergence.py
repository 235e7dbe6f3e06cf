"""The section on convergence: loss curves, steps and seconds to the target, where training ends."""

import math
from collections.abc import Callable, Sequence

import pandas as pd

from harness.judge import convergence, speed
from harness.judge.convergence import Spread, Trial
from harness.judge.speed import First, Steady
from harness.report import commands, curves
from harness.report.material import Contender, Material, Setting, setting, setting_order
from harness.report.section import Column, Entry, Figure, Section, Table
from harness.report.words import NOTHING, decimals, fixed, number, rate_text, recipe_order, recipe_text
from harness.spec.losses import metric
from harness.spec.problem import Network

LEAD = (
    "Every backend starts from the same parameters and sees the same batches, seed by seed, so that what differs "
    "belongs to the framework. A run that diverged counts as not reaching the target and as ending worst; it is never "
    "dropped. A rate is untuned where its optimizer ran with no other."
)
Value = Callable[[float], str]


def section(material: Material) -> Section:
    """Curves, time to target and endings of every setting."""
    steady = [s for group in material.groups for s in group.steady]
    firsts = material.first_calls
    parts: list[Figure | Table] = []
    for position, (one, trials) in enumerate(by_setting(material)):
        name = f"convergence-{position}"
        parts += curves.figures(material, one, trials, f"{name}-loss")
        if any(trial.steps_to_target for trial in trials):
            parts.append(_to_target(material, one, trials, name, steady, firsts))
        parts += _endings(material, one, trials, name)
    missing = None
    if not parts:
        settings = {setting(record.job.cell) for record in material.records}
        missing = ("No training run was recorded to its end in these runs.", commands.missing(material, settings))
    return Section("convergence", "Convergence", LEAD, parts, missing)


def by_setting(material: Material) -> list[tuple[Setting, list[Trial]]]:
    """The trials of each setting that hold numbers, in the order of reports."""
    order = list(material.contenders)
    found: dict[Setting, list[Trial]] = {}
    for trial in material.trials:
        if trial.runs:
            found.setdefault(setting(trial.cell), []).append(trial)
    for trials in found.values():
        trials.sort(key=lambda trial: (recipe_order(trial.cell.recipe), order.index(trial.contender)))
    return sorted(found.items(), key=lambda item: setting_order(item[0]))


def metric_name(one: Setting) -> str:
    """The figure of merit: accuracy, R², or the loss itself for a function."""
    return metric(one.problem.loss) if isinstance(one.problem, Network) else "loss"


def target_text(trial: Trial, one: Setting) -> str:
    """The target in words: validation accuracy ≥ 0.93."""
    sign = "≥" if trial.judged_by.startswith("metric") else "≤"
    return f"{trial.judged_by.partition('/')[2]} {metric_name(one)} {sign} {trial.target:g}"


def _to_target(
    material: Material,
    one: Setting,
    trials: Sequence[Trial],
    name: str,
    steady: Sequence[Steady],
    firsts: Sequence[First],
) -> Table:
    contenders = _present(material, trials)
    costs = {id(trial): convergence.cost(trial, steady, firsts) for trial in trials}
    any_first = any(cost is not None and cost.first is not None for cost in costs.values())
    rows, long = [], []
    for group in _by_recipe(trials):
        entries = _heads(material, group[0], trials)
        by_name = {material.of(trial.records[0].job).name: trial for trial in group}
        for contender in contenders:
            trial = by_name.get(contender.name)
            cost = costs[id(trial)] if trial is not None else None
            entries.append(_steps(trial) if trial is not None else _NONE)
            entries.append(_spread(cost.seconds, number, "not reached") if cost is not None else _NONE)
            first = cost.first.total if cost is not None and cost.first is not None else math.nan
            entries += [Entry(number(first), order=first if first == first else math.inf)] if any_first else []
            if trial is not None and trial.steps_to_target is not None:
                long.append(
                    _keys(material, one, trial, contender)
                    | {"target": target_text(trial, one), "reached": trial.reached, "runs": len(trial.runs)}
                    | _numbers("steps", trial.steps_to_target)
                    | _numbers("seconds", cost.seconds if cost is not None else None)
                    | {"first_call_seconds": first}
                )
        rows.append(entries)
    columns = [Column("recipe"), Column("rate")]
    for contender in contenders:
        columns += [
            Column("steps", group=contender.name, numeric=True),
            Column("seconds", group=contender.name, numeric=True),
        ]
        columns += [Column("first call, s", group=contender.name, numeric=True)] if any_first else []
    return Table(
        f"{name}-target",
        "time-to-target",
        f"Time to target, {one.name}",
        columns,
        rows,
        pd.DataFrame(long),
        note=f"Target: {target_text(trials[0], one)}; {one.conditions}. Steps: updates made at the first evaluation "
        "that meets it, median over seeds (lowest–highest). Seconds are reckoned: steps × steady seconds a step of the "
        f"same cell, evaluation and first call not included; {NOTHING} where its speed was not measured.",
        command=commands.run(material, one.problem, [trial.cell.recipe for trial in trials]),
    )


def _endings(material: Material, one: Setting, trials: Sequence[Trial], name: str) -> list[Table]:
    """Final metrics, and the final losses folded away; a function has only the latter."""
    series = sorted(
        {str(s) for t in trials for r in t.runs for s in r.record.table["series"].unique() if "/" in str(s)}
    )
    metrics, losses = ([s for s in _parts(series) if s.startswith(kind)] for kind in ("metric/", "loss/"))
    tables = []
    if metrics:
        tables.append(_ending(material, one, trials, metrics, f"{name}-metric"))
    tables.append(_ending(material, one, trials, losses, f"{name}-loss", folded=bool(metrics)))
    return tables


def _parts(series: Sequence[str]) -> list[str]:
    """Validation and test where there are any, else training."""
    held_out = [s for part in ("validation", "test") for s in series if s.endswith(f"/{part}")]
    return held_out or list(series)


def _ending(
    material: Material, one: Setting, trials: Sequence[Trial], series: Sequence[str], name: str, folded: bool = False
) -> Table:
    contenders = _present(material, trials)
    rows, long = [], []
    for group in _by_recipe(trials):
        entries = _heads(material, group[0], trials)
        by_name = {material.of(trial.records[0].job).name: trial for trial in group}
        for contender in contenders:
            trial = by_name.get(contender.name)
            for one_series in series:
                ended = trial.final(one_series) if trial is not None else None
                entries.append(_spread(ended, number, "diverged") if ended is not None else _NONE)
                if trial is not None and ended is not None:
                    keys = _keys(material, one, trial, contender) | {"series": one_series}
                    counts = {"runs": len(trial.runs), "diverged": trial.diverged}
                    long.append(keys | _numbers("final", ended) | counts)
        rows.append(entries)
    what = metric_name(one) if series[0].startswith("metric") else "loss"
    columns = [Column("recipe"), Column("rate")]
    columns += [Column(s.partition("/")[2], group=c.name, numeric=True) for c in contenders for s in series]
    return Table(
        name,
        "final",
        f"Final {what}, {one.name}",
        columns,
        rows,
        pd.DataFrame(long),
        note=f"{one.conditions}. Median over seeds (lowest–highest).",
        command=commands.run(material, one.problem, [trial.cell.recipe for trial in trials]),
        folded=folded,
    )


_NONE = Entry(NOTHING, order=math.inf)


def _present(material: Material, trials: Sequence[Trial]) -> list[Contender]:
    present = {trial.contender for trial in trials}
    return [contender for identity, contender in material.contenders.items() if identity in present]


def _by_recipe(trials: Sequence[Trial]) -> list[list[Trial]]:
    found: dict[object, list[Trial]] = {}
    for trial in trials:
        found.setdefault(trial.cell.recipe, []).append(trial)
    return list(found.values())


def _heads(material: Material, trial: Trial, trials: Sequence[Trial]) -> list[Entry]:
    recipe = trial.cell.recipe
    return [Entry(material.recipe(recipe)), Entry(rate_text(recipe, [t.cell.recipe for t in trials]))]


def _steps(trial: Trial) -> Entry:
    steps = trial.steps_to_target
    if steps is None:
        return _NONE
    entry = _spread(steps, lambda value: fixed(value, 0), "not reached")
    if 0 < trial.reached < len(trial.runs):
        return Entry(entry.text, f"{entry.light} {trial.reached} of {len(trial.runs)}", entry.order)
    return entry


def _spread(spread: Spread, value: Value, lost: str) -> Entry:
    """A median with its range; what was lost is told in a word."""
    places = decimals(spread.median) if value is number and 1e-3 <= abs(spread.median) < 1e6 else None

    def shown(x: float) -> str:
        if math.isinf(x):
            return lost
        return value(x) if places is None else fixed(x, places)

    ends = (spread.low, spread.high) if spread.high != math.inf or spread.low != math.inf else (spread.median,)
    light = "–".join(shown(end) for end in ends) if spread.runs > 1 and spread.low != spread.high else ""
    return Entry(shown(spread.median), light, spread.median, "bad" if math.isinf(spread.median) else "")


def _keys(material: Material, one: Setting, trial: Trial, contender: Contender) -> dict[str, object]:
    return {
        "problem": one.name,
        "conditions": one.conditions,
        "recipe": material.recipe(trial.cell.recipe),
        "backend": contender.name,
    }


def _numbers(name: str, spread: Spread | None) -> dict[str, float]:
    if spread is None:
        return {f"{name}_{part}": math.nan for part in ("median", "low", "high")}
    return {f"{name}_median": spread.median, f"{name}_low": spread.low, f"{name}_high": spread.high}
