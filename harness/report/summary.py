"""The findings in words. Nothing is called fastest where an interval includes 1; composed code stays out."""

import math
from collections import Counter
from collections.abc import Sequence

from harness.judge import agreement, speed
from harness.judge.convergence import Spread, Trial
from harness.judge.speed import Overall
from harness.report import convergence, same_maths, speed_tables, timed
from harness.report.circumstances import STATUSES
from harness.report.material import Material, Setting
from harness.report.section import Statement
from harness.report.words import (
    counted,
    fixed,
    listed,
    number,
    optimizer_text,
    problem_name,
    rate_text,
    recipe_text,
    times,
)
from harness.spec.spellings import optimizer_name


def statements(material: Material) -> list[Statement]:
    """What a reader should take away."""
    found = [_agreement(material)]
    found += [_fastest(material, one, groups) for one, groups in timed.steps(material)]
    for one, trials in convergence.by_setting(material):
        found += [_best(material, one, trials), _target(material, one, trials)]
    return [statement for statement in (*found, _troubles(material)) if statement is not None]


def _agreement(material: Material) -> Statement | None:
    verdicts = [v for v in material.verdicts]
    if not verdicts:
        return None
    compared = [v for v in verdicts if v.tensor]
    off = [v for v in compared if not v.equal and v.explained is None]
    known = [v for v in compared if not v.equal and v.explained is not None]
    sentences = []
    if compared:
        backends = listed(dict.fromkeys(material.of(v.job).name for v in compared))
        what = f"{counted(len(compared), 'comparison')} of {backends} with the reference"
        if not off and not known:
            sentences.append(f"**All agree:** {what}, all equal to rounding.")
        elif not off:
            sentences.append(f"**All agree** but for {counted(len(known), 'known difference')}: {what}.")
        else:
            sentences.append(f"**{len(off)} differ** among {what}.")
        worst = same_maths.worst(off or compared)
        assert worst is not None
        sentences.append(
            f"The farthest is {material.of(worst.job).name} with {same_maths.where(material, worst)} on "
            f"{problem_name(worst.job.cell.problem)}: a {worst.what[:-1]} distance of {number(worst.distance, 2)}, "
            f"tolerance {number(worst.tolerance, 2)}."
        )
    silent = Counter(f"{material.of(v.job).name} ({v.reason})" for v in verdicts if not v.tensor)
    sentences += [f"Not compared: {counted(count, 'job')} of {who}." for who, count in silent.items()]
    return Statement("Same maths", sentences, "bad" if off else "good" if compared else "")


def _fastest(material: Material, one: Setting, groups: Sequence[speed.Group]) -> Statement | None:
    means = speed.overall(groups)
    if not means:
        return None
    base = speed_tables.leader(means)
    sentences = [_lead(material, groups, means, base)]
    left_out = {material.of(s.job).name for g in groups for s in g.steady if s.composed}
    if left_out:
        sentences.append(f"Left out where composed code is involved: {listed(sorted(left_out))}.")
    threads = sorted({material.of(s.job).threads for g in groups for s in g.steady})
    sentences.append(f"{one.name}, {one.conditions}; {listed(threads)}.")
    return Statement("Speed", sentences)


def _lead(material: Material, groups: Sequence[speed.Group], means: Sequence[Overall], base: str | None) -> str:
    """Who is fastest on average, by what factors; or between whom it is undecided."""
    if base is None:
        return "**Nobody leads:** not every pair was compared, or each is slower than some other."
    name = material.contenders[base].name
    over = sorted((mean for mean in means if mean.to == base), key=lambda mean: mean.factor.value)
    behind = [mean for mean in over if mean.verdict == "longer"]
    level = [mean for mean in over if mean.verdict != "longer"]
    seconds = [s.seconds.value for g in groups for s in g.steady if s.contender == base and not s.composed]
    size, unit = timed.unit(min(seconds))
    ends = dict.fromkeys(number(value / size) for value in (min(seconds), max(seconds)))
    who = listed([name, *(material.contenders[mean.of].name for mean in level)])
    start = (
        f"**Between {who} it is undecided.**" if level else f"**{name} is fastest:** {'–'.join(ends)} {unit} a step."
    )
    details = [f"{material.contenders[mean.of].name} {_factor(mean)}" for mean in (*level, *behind)]
    recipes = counted(len(over[0].ratios), "recipe")
    return f"{start} Over {recipes} a step takes, times as long as with {name}: {'; '.join(details)}."


def _factor(mean: Overall) -> str:
    ordered = sorted(mean.ratios, key=lambda r: r.factor.value)
    loose = "" if all(r.paired for r in ordered) else ", not interleaved"
    ends = (
        f", by recipe {number(ordered[0].factor.value)} to {number(ordered[-1].factor.value)}"
        if len(ordered) > 1
        else ""
    )
    return f"**{number(mean.factor.value)}×** ({times(mean.factor).partition('(')[2].rstrip(')')}{ends}{loose})"


def _best(material: Material, one: Setting, trials: Sequence[Trial]) -> Statement | None:
    """The best held-out result of each optimizer, best first."""
    series = next(
        (s for s in ("metric/validation", "metric/training") if trials[0].final(s) is not None), "loss/training"
    )
    higher = series.startswith("metric")
    ended = [(trial, final) for trial in trials if (final := trial.final(series)) is not None]
    best: dict[str, tuple[Trial, Spread]] = {}
    for trial, final in sorted(ended, key=lambda e: -e[1].median if higher else e[1].median):
        best.setdefault(material.optimizer(trial.cell.recipe), (trial, final))
    ranked = [(t, f) for t, f in best.values() if math.isfinite(f.median)]
    if not ranked:
        return None
    recipes = [trial.cell.recipe for trial in trials]
    words = [
        f"{material.recipe(t.cell.recipe)} **{number(f.median)}** "
        f"({_range(f)}{material.of(t.records[0].job).name}, {rate_text(t.cell.recipe, recipes)})"
        for t, f in ranked
    ]
    part, what = series.partition("/")[2], convergence.metric_name(one)
    seeds = max(final.runs for _, final in ended)
    sentences = [f"Best {part} {what} of each optimizer, median of {counted(seeds, 'seed')}: {'; '.join(words)}."]
    gap = _between_backends(material, ended)
    if gap is not None:
        sentences.append(gap)
    untuned = {optimizer_name(t.cell.recipe) for t in trials if rate_text(t.cell.recipe, recipes) == "untuned"}
    if untuned:
        sentences.append("Untuned rates rank these rates, not the optimizers.")
    return Statement("Trains best", [*sentences, f"{one.name}, {one.conditions}."])


def _range(final: Spread) -> str:
    return f"{number(final.low)}–{number(final.high)}, " if final.low != final.high and math.isfinite(final.low) else ""


def _between_backends(material: Material, ended: Sequence[tuple[Trial, Spread]]) -> str | None:
    """How far apart the backends' medians are for one and the same recipe, at most."""
    by_recipe: dict[object, list[tuple[Trial, float]]] = {}
    for trial, final in ended:
        by_recipe.setdefault(trial.cell.recipe, []).append((trial, final.median))
    gaps = []
    for group in by_recipe.values():
        values = [value for _, value in group if math.isfinite(value)]
        if len(values) > 1:
            gaps.append((max(values) - min(values), material.recipe(group[0][0].cell.recipe)))
    if not gaps:
        return None
    widest, recipe = max(gaps)
    if widest == 0:
        return "All backends end alike with every recipe."
    return f"Between backends the same recipe ends at most {number(widest, 2)} apart ({recipe})."


def _target(material: Material, one: Setting, trials: Sequence[Trial]) -> Statement | None:
    aimed = [(trial, steps) for trial in trials if (steps := trial.steps_to_target) is not None]
    if not aimed:
        return None
    runs, reached = sum(len(trial.runs) for trial, _ in aimed), sum(trial.reached for trial, _ in aimed)
    target = convergence.target_text(aimed[0][0], one)
    trial, steps = min(aimed, key=lambda entry: entry[1].median)
    sentences = [f"{fixed(reached, 0)} of {counted(runs, 'run')} reached {target}."]
    if math.isfinite(steps.median):
        recipe = trial.cell.recipe
        tuned = rate_text(recipe, [t.cell.recipe for t in trials])
        words = f"**{material.recipe(recipe)}** ({tuned})"
        sentences.append(f"First: {words} after {fixed(steps.median, 0)} steps in the median.")
    return Statement("Gets there", [*sentences, f"{one.name}, {one.conditions}."])


def _troubles(material: Material) -> Statement:
    """What diverged, failed, ran out of time or is unsupported, by name."""
    sentences = []
    for status in STATUSES:
        records = [record for record in material.records if record.status == status]
        if not records:
            continue
        where: dict[str, list[str]] = {}
        for record in records:
            recipe = material.recipe(record.job.cell.recipe)
            where.setdefault(material.of(record.job).name, []).append(recipe)
        names = [f"{who} with {_few(list(dict.fromkeys(recipes)))}" for who, recipes in where.items()]
        sentences.append(f"**{counted(len(records), 'job')} {_WORDS[status]}:** {'; '.join(names)}.")
    if sentences:
        return Statement("What went wrong", sentences, "bad")
    return Statement(
        "What went wrong", [f"**Nothing:** all {counted(len(material.records), 'job')} ended well."], "good"
    )


_WORDS = {"diverged": "diverged", "failed": "failed", "timeout": "ran out of time", "unsupported": "unsupported"}


def _few(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
