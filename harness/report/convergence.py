"""The section on convergence: loss curves, steps and seconds to the target, where training ends."""

from harness.report import commands, convergence_tables, curves
from harness.report.material import Material
from harness.report.section import Figure, Section, Table
from harness.report.trained import by_setting

LEAD = (
    "Every backend starts from the same parameters and sees the same batches, seed by seed, so that what differs "
    "belongs to the framework. A run that diverged counts as not reaching the target and as ending worst; it is never "
    "dropped. A rate is untuned where its optimizer ran with no other."
)


def section(material: Material) -> Section:
    """Curves, time to target and endings of every setting."""
    parts: list[Figure | Table] = []
    for position, (one, trials) in enumerate(by_setting(material)):
        name = f"convergence-{position}"
        parts += curves.figures(material, one, trials, f"{name}-curves")
        if any(trial.steps_to_target for trial in trials):
            parts.append(convergence_tables.to_target(material, one, trials, name))
        parts += convergence_tables.endings(material, one, trials, name)
    missing = None if parts else ("No training run was recorded in these runs.", commands.missing(material))
    return Section("convergence", "Convergence", LEAD, parts, missing)
