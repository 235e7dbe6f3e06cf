"""The section on health: what observed runs are like inside, and what is wrong with them."""

from harness.report import (
    commands,
    health_clips,
    health_histograms,
    health_maps,
    health_runs,
    health_starts,
    health_tables,
    health_timeline,
)
from harness.report.material import Material
from harness.report.section import Figure, Section, Table

LEAD = (
    "Observed steps are the training steps themselves. What is found is judged beside what theory, precision and "
    "sampling error allow: what was observed stands beside what was expected, and beyond which number it alarms."
)


def section(material: Material) -> Section:
    """Who stays healthy, what was found, when and where; outputs, depth profiles at the start, and the clips."""
    cases = health_runs.cases(material)
    if not cases:
        missing = ("No run was observed that gave numbers.", commands.missing(material))
        return Section("health", "Health", LEAD, missing=missing)
    parts: list[Figure | Table] = [
        health_tables.side_by_side(material, cases),
        *health_tables.findings(material, cases),
        *health_timeline.figures(material, cases),
        *health_maps.figures(material, cases),
        *health_histograms.figures(material, cases),
        *health_starts.figures(material, cases),
        *health_starts.tables(material, cases),
        *health_clips.figures(material, cases),
        *health_clips.tables(material, cases),
        *health_tables.not_observed(material, cases, health_histograms.lacking(cases)),
    ]
    return Section("health", "Health", LEAD, parts)
