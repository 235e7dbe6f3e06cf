"""Time to target and final results as tables: a row for each recipe, columns for each contender."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.judge import convergence
from harness.judge.convergence import Cost, Spread, Trial
from harness.report import commands
from harness.report.contenders import Contender
from harness.report.material import Material, Setting
from harness.report.section import Column, Entry, Table
from harness.report.trained import merit, target_text
from harness.report.words import NOTHING, counted, decimals, fixed, number, rates
from harness.spec.recipe import Recipe
from harness.store import Record

Row = dict[str, Any]  # of a CSV
_NONE = Entry(NOTHING, order=math.inf)


def to_target(material: Material, one: Setting, trials: Sequence[Trial], name: str) -> Table:
    """Steps and seconds to the target; at the foot the first calls that come on top."""
    contenders = material.present(trial.contender for trial in trials)
    steady = [s for group in material.groups for s in group.steady]
    costs = {id(trial): convergence.cost(trial, steady, material.first_calls) for trial in trials}
    rows, long = [], []
    for recipe, rate, row in _rows(trials, contenders, material):
        entries = [Entry(material.recipe(recipe), rate)]
        for contender, trial in row:
            cost = costs[id(trial)] if trial is not None else None
            entries.append(_steps(trial) if trial is not None else _NONE)
            entries.append(_spread(cost.seconds, "never") if cost is not None else _NONE)
            if trial is not None and trial.steps_to_target is not None:
                long.append(
                    _keys(material, one, trial, contender)
                    | {"target": target_text(trial, one), "reached": trial.reached, "runs": len(trial.runs)}
                    | _numbers("steps", trial.steps_to_target)
                    | _numbers("seconds", cost.seconds if cost is not None else None)
                    | {"first_call_seconds": cost.first.total if cost is not None and cost.first is not None else None}
                )
        rows.append(entries)
    columns = [Column("recipe")]
    for contender in contenders:
        columns += [Column(unit, group=contender.name, numeric=True) for unit in ("steps", "seconds")]
    return Table(
        f"{name}-target",
        "time-to-target",
        f"Time to target, {one.name}{_untuned(trials)}",
        columns,
        rows,
        pd.DataFrame(long),
        note=f"Target: {target_text(trials[0], one)}; {one.conditions}. Steps: updates made at the first evaluation "
        "that meets it, median over seeds (lowest–highest). Seconds are reckoned: steps × steady seconds a step of the "
        f"same cell, without evaluation and without the first call, which stands at the foot; {NOTHING} where its "
        "speed was not measured.",
        again=commands.again(material, _reckoned(trials, costs)),
        totals=_first_calls(trials, contenders, costs, material),
    )


def _reckoned(trials: Sequence[Trial], costs: Mapping[int, Cost | None]) -> list[Record]:
    """The training runs, and what was timed of the same cells."""
    paid = [cost for cost in costs.values() if cost is not None]
    timed = [cost.steady.record for cost in paid] + [cost.first.record for cost in paid if cost.first is not None]
    return [record for trial in trials for record in trial.records] + timed


def endings(material: Material, one: Setting, trials: Sequence[Trial], name: str) -> list[Table]:
    """Final metrics, and the final losses folded away; a function has only the latter."""
    series = {name for trial in trials for run in trial.runs for name in run.series if "/" in name}
    metrics, losses = (_parts([s for s in sorted(series) if s.startswith(kind)]) for kind in ("metric/", "loss/"))
    tables = [_ending(material, one, trials, metrics, f"{name}-metric")] if metrics else []
    return [*tables, _ending(material, one, trials, losses, f"{name}-loss")]


def _parts(series: Sequence[str]) -> list[str]:
    """Validation and test where there are any, else training."""
    held_out = [s for part in ("validation", "test") for s in series if s.endswith(f"/{part}")]
    return held_out or list(series)


def _ending(material: Material, one: Setting, trials: Sequence[Trial], series: Sequence[str], name: str) -> Table:
    contenders = material.present(trial.contender for trial in trials)
    rows, long = [], []
    for recipe, rate, row in _rows(trials, contenders, material):
        entries = [Entry(material.recipe(recipe), rate)]
        for contender, trial in row:
            for part in series:
                ended = trial.final(part) if trial is not None else None
                entries.append(_ended(trial, ended) if trial is not None and ended is not None else _NONE)
                if trial is not None and ended is not None:
                    keys = _keys(material, one, trial, contender) | {"series": part}
                    long.append(keys | _numbers("final", ended) | {"runs": len(trial.runs), "diverged": trial.diverged})
        rows.append(entries)
    metric = series[0].startswith("metric")
    parts = [Column(s.partition("/")[2], group=c.name, numeric=True) for c in contenders for s in series]
    return Table(
        name,
        "final",
        f"Final {merit(one) if metric else 'loss'}, {one.name}{_untuned(trials)}",
        [Column("recipe"), *parts],
        rows,
        pd.DataFrame(long),
        note=f"{one.conditions}. Median over seeds (lowest–highest); 2/3: of three seeds two ran to an end.",
        again=commands.again(material, (record for trial in trials for record in trial.records)),
        folded=not metric and merit(one) != "loss",
    )


def _rows(
    trials: Sequence[Trial], contenders: Sequence[Contender], material: Material
) -> list[tuple[Recipe, str, list[tuple[Contender, Trial | None]]]]:
    """Recipe by recipe: what must be said of its rate and seeds, and the trial of each contender."""
    found: dict[Recipe, dict[str, Trial]] = {}
    for trial in trials:
        found.setdefault(trial.cell.recipe, {})[material.contenders[trial.contender].name] = trial
    rate = rates(found) if not _untuned(trials) else dict.fromkeys(found, "")
    seeds = {recipe: max(len(trial.records) for trial in by_name.values()) for recipe, by_name in found.items()}
    told = (
        dict.fromkeys(found, "") if len(set(seeds.values())) == 1 else {r: counted(n, "seed") for r, n in seeds.items()}
    )
    beside = {recipe: ", ".join(filter(None, (rate[recipe], told[recipe]))) for recipe in found}
    return [(recipe, beside[recipe], [(c, row.get(c.name)) for c in contenders]) for recipe, row in found.items()]


def _untuned(trials: Sequence[Trial]) -> str:
    """What the title says where no rate at all was chosen among several."""
    return ", rates untuned" if set(rates(t.cell.recipe for t in trials).values()) == {"untuned"} else ""


def _first_calls(
    trials: Sequence[Trial],
    contenders: Sequence[Contender],
    costs: Mapping[int, Cost | None],
    material: Material,
) -> list[list[Entry]]:
    """A row for each recipe whose first call was timed."""
    lines = []
    for recipe, _, row in _rows(trials, contenders, material):
        found = [costs[id(trial)] for _, trial in row if trial is not None]
        if any(cost is not None and cost.first is not None for cost in found):
            line = [Entry(f"first call, {material.recipe(recipe)}")]
            for _, trial in row:
                cost = costs[id(trial)] if trial is not None else None
                total = cost.first.total if cost is not None and cost.first is not None else math.nan
                line += [Entry(""), Entry(number(total), order=total)]
            lines.append(line)
    return lines


def _ended(trial: Trial, ended: Spread) -> Entry:
    """Where a trial ended, and how many of its seeds that is where some failed."""
    entry = _spread(ended, "diverged")
    if len(trial.runs) == len(trial.records):
        return entry
    return Entry(entry.text, f"{entry.light} {len(trial.runs)}/{len(trial.records)}".strip(), entry.order, entry.mark)


def _steps(trial: Trial) -> Entry:
    steps = trial.steps_to_target
    if steps is None:
        return _NONE
    entry = _spread(steps, "never", whole=True)
    if trial.reached < len(trial.runs) and len(trial.runs) > 1:
        return Entry(entry.text, f"{entry.light} {trial.reached}/{len(trial.runs)}".strip(), entry.order, entry.mark)
    return entry


def _spread(spread: Spread, lost: str, whole: bool = False) -> Entry:
    """A median with its range; what was lost is told in a word."""
    plain = 1e-3 <= abs(spread.median) < 1e6
    places = 0 if whole else decimals(spread.median)

    def shown(value: float) -> str:
        if math.isinf(value):
            return lost
        return fixed(value, places) if plain or whole else number(value)

    light = f"{shown(spread.low)}–{shown(spread.high)}" if spread.low != spread.high else ""
    return Entry(shown(spread.median), light, spread.median, "bad" if math.isinf(spread.median) else "")


def _keys(material: Material, one: Setting, trial: Trial, contender: Contender) -> Row:
    recipe = material.recipe(trial.cell.recipe)
    return {"problem": one.name, "conditions": one.conditions, "recipe": recipe, "backend": contender.name}


def _numbers(name: str, spread: Spread | None) -> Row:
    numbers = (spread.median, spread.low, spread.high) if spread is not None else (None, None, None)
    return dict(zip((f"{name}_median", f"{name}_low", f"{name}_high"), numbers, strict=True))
