"""The section on speed: seconds a step, ratios, first calls."""

from harness.judge.speed import APART, MARGIN
from harness.report import commands, speed_plots, speed_tables, timed
from harness.report.material import Material
from harness.report.section import Figure, Section, Table
from harness.report.words import listed
from harness.spec.job import FirstCall, Speed

LEAD = (
    "Steady seconds a step: the median of blocks that were timed in turn, A B C D B C D A, the machine to themselves, "
    "after warm-up, in several processes of each. Intervals are 95 % bootstrap intervals, of processes and of their "
    "blocks, which cover somewhat less where these are few. They hold within this session: another session on this "
    "machine can differ by more. Nobody is called faster where the interval of the ratio includes 1, or the ratio is "
    f"within {100 * MARGIN:g} % ({100 * APART:g} % where two were not timed in turn)."
)


def section(material: Material) -> Section:
    """Step times, ratios and first calls of every setting."""
    parts: list[Figure | Table] = []
    for position, (one, groups) in enumerate(timed.steps(material)):
        name = f"speed-{position}"
        parts += [
            speed_plots.step_times(material, one, groups, name),
            speed_tables.times(material, one, groups, name),
        ]
        if any(group.ratios for group in groups):
            parts.append(speed_tables.ratios(material, one, groups, name))
    for position, (one, firsts) in enumerate(timed.first_calls(material)):
        name = f"first-call-{position}"
        parts += [
            speed_plots.first_calls(material, one, firsts, name),
            speed_tables.first_calls(material, one, firsts, name),
        ]
    return Section("speed", "Speed", LEAD, parts, missing=_missing(material))


def _missing(material: Material) -> tuple[str, str] | None:
    kinds = {type(record.job.measure) for record in material.records if record.status == "ok"}
    lacking = [words for kind, words in ((Speed, "steady steps"), (FirstCall, "first calls")) if kind not in kinds]
    if not lacking:
        return None
    return f"No {listed(lacking)} were timed in these runs.", commands.missing(material)
