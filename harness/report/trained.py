"""The trials of each setting, and the words for what they aim at."""

from harness.judge.convergence import Trial
from harness.report.material import Material, Setting, setting, setting_order
from harness.report.words import recipe_order
from harness.spec.losses import metric
from harness.spec.problem import Network


def by_setting(material: Material) -> list[tuple[Setting, list[Trial]]]:
    """The trials of each setting that hold numbers, in the order of reports."""
    order = list(material.contenders)
    found: dict[Setting, list[Trial]] = {}
    for trial in material.trials:
        if trial.runs:
            found.setdefault(setting(trial.cell, trial.records[0].job.measure), []).append(trial)
    for trials in found.values():
        trials.sort(key=lambda trial: (recipe_order(trial.cell.recipe), order.index(trial.contender)))
    return sorted(found.items(), key=lambda item: setting_order(item[0]))


def merit(one: Setting) -> str:
    """The figure of merit: accuracy, R², or the loss itself for a function."""
    return metric(one.problem.loss) if isinstance(one.problem, Network) else "loss"


def target_text(trial: Trial, one: Setting) -> str:
    """The target in words: validation accuracy ≥ 0.93."""
    kind, _, part = trial.judged_by.partition("/")
    return f"{part} {merit(one)} {'≥' if kind == 'metric' else '≤'} {trial.target:g}"
