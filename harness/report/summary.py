"""The findings in words. Nothing is called fastest beside what is undecided; composed code stays out."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from harness.judge import choice, speed
from harness.judge.choice import Choice
from harness.judge.convergence import Run, Spread, Trial
from harness.judge.speed import Group, Overall
from harness.report import commits, commits_circumstances, health_summary, same_maths, speed_tables, timed, trained
from harness.report.circumstances import STATUSES
from harness.report.material import Material, Setting
from harness.report.section import Item, Statement
from harness.report.words import between, counted, fixed, listed, number, problem_name, rates
from harness.spec.cell import Cell
from harness.spec.problem import Network
from harness.spec.recipe import Recipe
from harness.spec.spellings import optimizer_name, recipe_label
from harness.store import Record


def statements(material: Material) -> list[Statement]:
    """What a reader should take away."""
    found = [_agreement(material)]
    found += [_fastest(material, one, groups) for one, groups in timed.steps(material)]
    trials = trained.by_setting(material)
    single = [(one, every) for one, every in trials if len({trial.cell.recipe for trial in every}) == 1]
    if len(single) > 1:
        found.append(_cases(material, single))
        trials = [pair for pair in trials if pair not in single]
    for one, every in trials:
        found += [_best(material, one, every), _target(material, one, every)]
    found += health_summary.statements(material)
    found += _chosen(choice.choices(material.trials), material)
    found += commits.statements(material)
    return [statement for statement in (*found, _troubles(material)) if statement is not None]


def _agreement(material: Material) -> Statement | None:
    verdicts = material.verdicts
    if not verdicts:
        return None
    compared = [v for v in verdicts if v.tensor]
    off = [v for v in compared if not v.equal and v.explained is None]
    known = [v for v in compared if not v.equal and v.explained is not None]
    sentences = []
    if compared:
        backends = listed(c.name for c in material.present(speed.contender(v.job) for v in compared))
        what = f"{counted(len(compared), 'comparison')} of {backends} with the reference"
        if off:
            sentences.append(f"**{len(off)} differ** among {what}.")
        elif known:
            sentences.append(f"**All agree** but for {counted(len(known), 'known difference')}: {what}.")
        else:
            sentences.append(f"**All agree:** {what}, all equal to rounding.")
        if len(compared) < len(verdicts):
            sentences[0] = sentences[0].replace("**All agree", "**All that were compared agree")
        worst = same_maths.worst(off or compared)
        assert worst is not None
        sentences.append(
            f"The farthest is {material.of(worst.job).name} with {same_maths.where(material, worst)} on "
            f"{problem_name(worst.job.cell.problem)}: a {worst.what[:-1]} distance of {number(worst.distance, 2)}, "
            f"tolerance {number(worst.tolerance, 2)}."
        )
    silent = Counter(f"{material.of(v.job).name} ({v.reason})" for v in verdicts if not v.tensor)
    sentences += [f"Not compared: {counted(count, 'job')} of {who}." for who, count in silent.items()]
    return Statement("Same maths", "", sentences, "bad" if off else "good" if len(compared) == len(verdicts) else "")


def _fastest(material: Material, one: Setting, groups: Sequence[Group]) -> Statement | None:
    means = speed.overall(groups)
    if not means:
        return None
    base = speed_tables.leader(means)
    steady = [s for group in groups for s in group.steady]
    threads = listed(sorted({material.of(s.job).threads for s in steady}))
    place = f"{one.step_conditions}, {timed.cores([s.record for s in steady]) or threads}."
    composed: dict[str, list[str]] = {}
    for s in (s for s in steady if s.composed):
        composed.setdefault(material.of(s.job).name, []).append(material.recipe(s.job.cell.recipe))
    if composed:
        names = (f"{name} with {_few(recipes)}" for name, recipes in sorted(composed.items()))
        place += f" Left out, being composed: {'; '.join(names)}."
    if base is None:
        return Statement(
            "Speed", one.name, ["**Nobody leads:** not every pair was compared over the same recipes.", place]
        )
    over = sorted((mean for mean in means if mean.to == base), key=lambda mean: mean.factor.value)
    level = [material.contenders[mean.of].name for mean in over if mean.verdict != "longer"]
    name = material.contenders[base].name
    if level:
        who = listed([name, *level])
        lead = f"**Undecided** between {who}. A step takes, as many times as with {name}:"
    else:
        own = [s.seconds.value for s in steady if s.contender == base and not s.composed]
        size, unit = timed.unit(min(own))
        ends = "–".join(dict.fromkeys(number(value / size) for value in (min(own), max(own))))
        lead = f"**{name} is fastest** on average, {ends} {unit} a step by recipe. The others take, times as long:"
    overlap = timed.overlapping(material, [s.record for s in steady])
    sentences = [lead, *filter(None, [overlap]), timed.SESSION, place]
    return Statement("Speed", one.name, sentences, ranking=[_factor(material, mean) for mean in over])


def _factor(material: Material, mean: Overall) -> Item:
    ordered = sorted(mean.ratios, key=lambda r: r.factor.value)
    parts = [between(mean.factor) or "no interval", f"over {counted(len(ordered), 'recipe')}"]
    if len(ordered) > 1:
        parts[-1] += f" from {number(ordered[0].factor.value)} to {number(ordered[-1].factor.value)}"
    parts += ["undecided"] if mean.verdict == "undecided" else []
    parts += [] if all(r.paired for r in ordered) else ["not interleaved"]
    parts += ["on different hosts"] if any(r.elsewhere for r in ordered) else []
    who = material.contenders[mean.of]
    return Item(who.name, f"{number(mean.factor.value)} ×", ", ".join(parts), who.series)


def _best(material: Material, one: Setting, trials: Sequence[Trial]) -> Statement | None:
    """The best held-out result of each optimizer, best first, its rate and whether that was tuned beside it."""
    series = _judged_by(trials)
    sign = -1 if series.startswith("metric") else 1
    ended = [(trial, final) for trial in trials if (final := trial.final(series)) is not None]
    best: dict[str, tuple[Trial, Spread]] = {}
    for trial, final in sorted(ended, key=lambda entry: sign * entry[1].median):
        best.setdefault(optimizer_name(trial.cell.recipe), (trial, final))
    rate = rates(trial.cell.recipe for trial in trials)
    items = [
        Item(material.recipe(t.cell.recipe), number(f.median), _beside(material, t, f, ended, rate[t.cell.recipe]))
        for t, f in best.values()
        if math.isfinite(f.median)
    ]
    if not items:
        return None
    finals = [final for _, final in best.values() if math.isfinite(final.median)]
    seeds = max(final.runs for _, final in ended)
    median = f"median of {seeds} seeds" if seeds > 1 else "one seed"
    sentences = [
        f"**{series.partition('/')[2].title()} {trained.merit(one)} at the end**, {median}, each optimizer "
        "where it did best:",
        " ".join(filter(None, (_overlap(finals), _between_backends(material, ended), _caveat(rate)))),
        f"{one.conditions}.",
    ]
    return Statement("Training", one.name, [*filter(None, sentences)], ranking=items)


def _cases(material: Material, settings: Sequence[tuple[Setting, list[Trial]]]) -> Statement:
    """Problems with a recipe each: what its runs end at, over all backends and seeds, and whether they get there."""
    items = []
    for one, trials in settings:
        series = _judged_by(trials)
        finals = [run.final(series) for trial in trials for run in trial.runs]
        finite = [final for final in finals if math.isfinite(final)]
        ends = "–".join(dict.fromkeys(number(end) for end in (min(finite), max(finite)))) if finite else "lost"
        beside = [f"{series.partition('/')[2]} {trained.merit(one)} of {counted(len(finals), 'run')}"]
        if len(finite) < len(finals):
            beside.append(f"{len(finals) - len(finite)} diverged")
        aimed = [(trial, steps) for trial in trials if (steps := trial.steps_to_target) is not None]
        if aimed:
            reached = sum(trial.reached for trial, _ in aimed)
            beside.append(f"{reached} reached {aimed[0][0].target:g}")
        beside.append(material.recipe(trials[0].cell.recipe))
        items.append(Item(one.name, ends, ", ".join(beside)))
    words = sorted({one.conditions for one, _ in settings})
    place = f"{words[0]}." if len(words) == 1 else "Each with its own recipe and budget: see below."
    lead = "**Where each problem ends**, lowest to highest over backends and seeds:"
    return Statement("Training", "", [lead, place], ranking=items)


def _judged_by(trials: Sequence[Trial]) -> str:
    """The held-out metric, or what comes closest to it."""
    kinds = ("metric/validation", "metric/training")
    return next((s for s in kinds if trials[0].final(s) is not None), "loss/training")


def _beside(material: Material, trial: Trial, final: Spread, ended: Sequence[tuple[Trial, Spread]], rate: str) -> str:
    """Spread over seeds, whose result it is, and whether the rate was tuned."""
    alike = material.present(
        t.contender for t, f in ended if t.cell.recipe == trial.cell.recipe and f.median == final.median
    )
    present = {t.contender for t, _ in ended}
    who = "every backend" if len(alike) == len(present) > 1 else listed(contender.name for contender in alike)
    spread = (
        f"{number(final.low)}–{number(final.high)}, " if math.isfinite(final.low) and final.low != final.high else ""
    )
    fewer = ", one seed" if final.runs == 1 < max(f.runs for _, f in ended) else ""
    return f"{spread}{who}, {rate.replace('1 of', 'best of')}{fewer}"


def _overlap(finals: Sequence[Spread]) -> str:
    """How many of the others the seeds cannot tell from the first."""
    first, *others = finals
    close = sum(other.low <= first.high and first.low <= other.high for other in others)
    if first.runs == 1 < max(final.runs for final in finals):
        return "The first ran with one seed: how far seeds move it is unknown."
    if not close or first.runs == 1:
        return ""
    who = "all the others" if close == len(others) else f"{close} of the {len(others)} others"
    return f"Over its seeds the first overlaps with {who}: no winner."


def _caveat(rate: dict[Recipe, str]) -> str:
    untuned = sum(word == "untuned" for word in rate.values())
    return "Untuned rates: this ranks these rates, not the optimizers." if untuned else ""


def _between_backends(material: Material, ended: Sequence[tuple[Trial, Spread]]) -> str:
    """How far apart the backends' medians are for one and the same recipe, at most."""
    by_recipe: dict[Recipe, list[float]] = {}
    for trial, final in ended:
        by_recipe.setdefault(trial.cell.recipe, []).append(final.median)
    finite = {recipe: [v for v in values if math.isfinite(v)] for recipe, values in by_recipe.items()}
    gaps = [(max(v) - min(v), material.recipe(recipe)) for recipe, v in finite.items() if len(v) > 1]
    if not gaps:
        return ""
    widest, recipe_name = max(gaps)
    if widest == 0:
        return "All backends end alike with every recipe."
    return f"Between backends the same recipe ends at most {number(widest, 2)} apart ({recipe_name})."


def _chosen(choices: Sequence[Choice], material: Material) -> list[Statement]:
    """Which λ or c: of each problem and recipe, contender by contender."""
    found: dict[tuple[str, Cell, type], list[Choice]] = {}
    for one in choices:
        cell = replace(one.cell, backend="")
        found.setdefault((one.what, cell, type(one.tried[0].setting)), []).append(one)
    return [_choice(material, alike) for alike in found.values()]


def _choice(material: Material, alike: Sequence[Choice]) -> Statement:
    first = alike[0]
    scores = len(first.tried[0].scores)
    kind = first.tried[0].setting.spelling()
    how = (
        f"λ of {kind} by cross-validation, mean validation loss over {counted(scores, 'fold')}: the largest"
        if first.what == "penalty"
        else f"c of {kind}, mean validation loss over {counted(scores, 'seed')}: the smallest"
    )
    items = [
        Item(
            material.contenders[one.contender].name,
            one.chosen.name,
            f"{number(one.chosen.mean)} ± {number(one.chosen.error)}; best {one.best.name}, "
            f"{number(one.best.mean)} ± {number(one.best.error)}",
            material.contenders[one.contender].series,
        )
        for one in alike
    ]
    values = listed(one.name for one in first.tried)
    sentences = [f"**Chosen is {how} within one standard error of the best**, ± that error:", f"Tried: {values}."]
    return Statement(f"Choice of {first.what}", _problem(first), sentences, ranking=items)


def _problem(one: Choice) -> str:
    problem = one.cell.problem
    if isinstance(problem, Network) and problem.data.fold is not None:
        problem = replace(problem, data=replace(problem.data, fold=None))
    return f"{problem_name(problem)}, {recipe_label(one.cell.recipe)}"


def _target(material: Material, one: Setting, trials: Sequence[Trial]) -> Statement | None:
    aimed = [(trial, steps) for trial in trials if (steps := trial.steps_to_target) is not None]
    if not aimed:
        return None
    runs, reached = sum(len(trial.runs) for trial, _ in aimed), sum(trial.reached for trial, _ in aimed)
    fewest = min(steps.median for _, steps in aimed)
    sentences = [f"{fixed(reached, 0)} of {counted(runs, 'run')} reached {trained.target_text(aimed[0][0], one)}."]
    if math.isfinite(fewest):
        first = dict.fromkeys(trial.cell.recipe for trial, steps in aimed if steps.median == fewest)
        rate = rates(trial.cell.recipe for trial in trials)
        names = _few(f"{material.recipe(recipe)} ({rate[recipe]})" for recipe in first)
        sentences.insert(0, f"**First, after {fixed(fewest, 0)} steps:** {names}.")
        sentences[:2] = [" ".join(sentences[:2])]
    return Statement("Time to target", one.name, [*sentences, f"{one.conditions}."])


def _troubles(material: Material) -> Statement:
    """What diverged, failed, ran out of time or is unsupported, by name and reason."""
    sentences = []
    for status in STATUSES:
        records = [record for record in material.records if record.status == status]
        names = [
            f"{listed(who)} with {_few(recipes)}{reason and f' ({reason})'}"
            for (reason, recipes), who in _alike(material, records).items()
        ]
        if names:
            sentences.append(f"**{counted(len(records), 'job')} {_WORDS[status]}:** {'; '.join(names[:6])}.")
            sentences += [f"And {len(names) - 6} more, listed below."] if len(names) > 6 else []
    if material.unreadable:
        sentences.append(f"**{counted(len(material.unreadable), 'record')} cannot be read:** {material.unreadable[0]}.")
    sentences += commits_circumstances.sentences(material)
    if sentences:
        return Statement("What went wrong", "", sentences, "bad")
    nothing = (
        f"**No job failed:** all {counted(len(material.records), 'job')} ended well."
        if material.records
        else "Nothing."
    )
    return Statement("What went wrong", "", [nothing], "good")


_WORDS = {"diverged": "diverged", "failed": "failed", "timeout": "ran out of time", "unsupported": "unsupported"}


def _reason(record: Record) -> str:
    """Why, as the record has it, which may be nothing; where it diverged, if its losses were recorded."""
    step = Run(record).diverged_at
    return record.reason if step is None else f"at step {step}"


def _alike(material: Material, records: Sequence[Record]) -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """Reason and recipes → the contenders to whom just this happened."""
    found: dict[tuple[str, speed.Contender], set[Recipe]] = {}
    for record in records:
        found.setdefault((_reason(record), speed.contender(record.job)), set()).add(record.job.cell.recipe)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for identity, contender in material.contenders.items():
        for reason in sorted(reason for reason, who in found if who == identity):
            recipes = tuple(material.recipe(r) for r in material.recipes if r in found[reason, identity])
            alike.setdefault((reason, recipes), []).append(contender.name)
    return alike


def _few(names: Iterable[str]) -> str:
    every = list(names)
    return listed(every) if len(every) <= 4 else f"{', '.join(every[:3])} and {len(every) - 3} more recipes"
