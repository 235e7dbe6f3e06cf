"""Step times, ratios and first calls as tables."""

import math
from collections.abc import Sequence

import pandas as pd

from harness.judge import speed
from harness.judge.speed import First, Group, Interval, Overall, Ratio, Steady
from harness.report import commands
from harness.report.contenders import Contender
from harness.report.material import Material, Setting
from harness.report.section import Column, Entry, Table
from harness.report.timed import SESSION, label, overlapping, unit
from harness.report.words import NOTHING, between, number

_COMPOSED = "c: composed code is involved; it does not compete and stays out of means."
_NONE = Entry(NOTHING, order=math.inf)


def times(material: Material, one: Setting, groups: Sequence[Group], name: str) -> Table:
    """Seconds a step of every contender, and who is fastest."""
    contenders = material.present(s.contender for group in groups for s in group.steady)
    size, words = unit(min(s.seconds.value for group in groups for s in group.steady))
    rows, long = [], []
    for group in groups:
        what = label(material, group, groups)
        by_name = {material.of(s.job).name: s for s in group.steady}
        entries = [Entry(what)]
        for contender in contenders:
            steady = by_name.get(contender.name)
            entries.append(_time(steady, size) if steady is not None else _NONE)
            if steady is not None:
                long.append(_time_row(material, one, what, contender, steady))
        rows.append([*entries, _fastest(material, group)])
    columns = [Column("recipe"), *(Column(c.name, words, numeric=True) for c in contenders), Column("fastest")]
    return Table(
        f"{name}-times",
        "step-times",
        f"Step time in numbers, {one.name}",
        columns,
        rows,
        pd.DataFrame(long),
        note=f"{one.step_conditions}. Median (95 % interval) in {words} a step. {_COMPOSED} {SESSION}",
        again=commands.again(material, (s.record for group in groups for s in group.steady)),
    )


def _time(steady: Steady, size: float) -> Entry:
    seconds = steady.seconds
    scaled = Interval(seconds.value / size, seconds.low / size, seconds.high / size)
    mark = "composed" if steady.composed else ""
    return Entry(number(scaled.value), between(scaled), seconds.value, mark)


def _time_row(material: Material, one: Setting, recipe: str, who: Contender, steady: Steady) -> dict[str, object]:
    return {
        "problem": one.name,
        "conditions": one.step_conditions,
        "recipe": recipe,
        "backend": who.name,
        "mode": who.mode(one.mode),
        "threads": who.environment.threads,
        "seconds": steady.seconds.value,
        "low": steady.seconds.low,
        "high": steady.seconds.high,
        "steps_per_second": 1 / steady.seconds.value,
        "blocks": len(steady.blocks),
        "composed": " ".join(steady.composed),
        "record": steady.record.key,
    }


def _fastest(material: Material, group: Group) -> Entry:
    native = [s for s in group.steady if not s.composed]
    if group.fastest is not None:
        who = material.of(group.fastest.job)
        return Entry(who.name, series=who.series)
    return Entry("undecided" if len(native) > 1 else NOTHING)


def ratios(material: Material, one: Setting, groups: Sequence[Group], name: str) -> Table:
    """Ratios to one contender, the one that leads; all pairs are in the CSV."""
    means = speed.overall(groups)
    base = leader(means) or groups[0].steady[0].contender
    everyone = {s.contender: s for group in groups for s in group.steady}
    others = [contender for contender in material.contenders if contender in everyone and contender != base]
    rows, long = [], []
    for group in groups:
        what = label(material, group, groups)
        base_steady = next((s for s in group.steady if s.contender == base), None)
        against = {s.contender: speed.ratio(s, base_steady) for s in group.steady if base_steady is not None}
        found = [against.get(contender) for contender in others]
        rows.append([Entry(what), *(_ratio(r) if r is not None else _NONE for r in found)])
        long += [_ratio_row(material, one, what, r) for r in group.ratios]
    by_pair = {(m.of, m.to): m for m in means}
    mean = [by_pair.get((contender, base)) for contender in others]
    total = [Entry("geometric mean"), *(_mean(m) if m is not None else _NONE for m in mean)]
    return Table(
        f"{name}-ratios",
        "ratios",
        f"How many times as long a step takes as with {material.contenders[base].name}, {one.name}",
        [Column("recipe"), *(Column(material.contenders[other].name, "×", numeric=True) for other in others)],
        rows,
        pd.DataFrame(long),
        note=f"{one.step_conditions}. Median of the ratios of blocks measured in turn (95 % interval). {_COMPOSED} "
        "n: not interleaved, measured in different sessions. h: on different hosts. u: undecided, for "
        f"the interval includes 1, the ratio is within {100 * speed.MARGIN:g} %, with n {100 * speed.APART:g} %, or h. "
        f"{SESSION} {overlapping(material, [s.record for group in groups for s in group.steady])}".strip(),
        again=commands.again(material, (s.record for group in groups for s in group.steady)),
        totals=[total],
    )


def leader(means: Sequence[Overall]) -> speed.Contender | None:
    """The contender than which all others take longer on average; None if none leads all."""
    names = {name for mean in means for name in (mean.of, mean.to)}
    wins = {name: sum(mean.to == name for mean in means) for name in names}
    return next((name for name, count in sorted(wins.items()) if count == len(names) - 1), None)


def _ratio(r: Ratio) -> Entry:
    held = {"c": r.composed, "n": not r.paired, "h": r.elsewhere, "u": r.verdict == "undecided"}
    light = " ".join(filter(None, (between(r.factor), *(sign for sign, holds in held.items() if holds))))
    return Entry(number(r.factor.value), light, r.factor.value, "composed" if r.composed else "")


def _mean(mean: Overall) -> Entry:
    undecided = "u" if mean.verdict == "undecided" else ""
    return Entry(number(mean.factor.value), f"{between(mean.factor)} {undecided}".strip(), mean.factor.value)


def _ratio_row(material: Material, one: Setting, recipe: str, r: Ratio) -> dict[str, object]:
    return {
        "problem": one.name,
        "conditions": one.step_conditions,
        "recipe": recipe,
        "backend": material.of(r.of.job).name,
        "over": material.of(r.to.job).name,
        "ratio": r.factor.value,
        "low": r.factor.low,
        "high": r.factor.high,
        "verdict": r.verdict,
        "interleaved": r.paired,
        "hosts_differ": r.elsewhere,
        "composed": r.composed,
    }


def first_calls(material: Material, one: Setting, firsts: Sequence[First], name: str) -> Table:
    """Seconds of every phase of the first call."""
    rows, long = [], []
    for first in firsts:
        who, recipe = material.of(first.record.job), material.recipe(first.record.job.cell.recipe)
        phases = {
            "import": first.imports,
            "build": first.build,
            "first step": first.first_step,
            "second step": first.second_step,
            "first − second": first.compiling,
        }
        seconds = [Entry(number(value), order=value) for value in phases.values()]
        rows.append([Entry(who.name, series=who.series), Entry(recipe), *seconds, Entry(who.compiles)])
        long.append(
            {"problem": one.name, "conditions": one.step_conditions, "backend": who.name, "recipe": recipe}
            | {phase.replace(" − ", "_minus_").replace(" ", "_"): value for phase, value in phases.items()}
            | {"compiles": who.compiles, "record": first.record.key}
        )
    columns = [
        Column("backend"),
        Column("recipe", wide=True),
        *(Column(phase, "s", numeric=True) for phase in phases),
        Column("what the first call compiles", wide=True),
    ]
    return Table(
        f"{name}-table",
        "first-calls",
        f"First call in numbers, {one.name}",
        columns,
        rows,
        pd.DataFrame(long),
        note=f"{one.step_conditions}. Build: make model and optimizer, with all that the framework imports only then "
        "(PyTorch imports torch._dynamo with its first optimizer). First step − second step is about what tracing and "
        "compiling took.",
        again=commands.again(material, [first.record for first in firsts]),
    )
