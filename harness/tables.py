"""Comparisons as lines of the tables that the command line prints."""

import math
from collections.abc import Mapping
from typing import Any

from harness.judge.agreement import Verdict
from harness.problems.catalogue import problem_name
from harness.replay import Comparison
from harness.spec.spellings import recipe_label


def corrected(intervals: int) -> str:
    """The table's title: what its intervals mean."""
    if intervals == 1:
        return "B/A; 1 interval, 95 %"
    return f"B/A; {intervals} intervals, 95 % for all together" if intervals else "B/A; no intervals"


def compared(row: Mapping[str, Any]) -> dict[str, str]:
    """A comparison as a line of the table."""
    ratio, low, high = (row[name] for name in ("ratio", "low", "high"))
    return {
        "who": row["who"],
        "what": row["what"],
        "measure": row["measure"],
        "A": "" if math.isnan(row["a"]) else f"{row['a']:.4g}",
        "B": "" if math.isnan(row["b"]) else f"{row['b']:.4g} {row['unit']}".strip(),
        "ratio": "" if math.isnan(ratio) else f"{ratio:.3f}",
        "interval": "" if math.isnan(low) else f"{low:.3f}–{high:.3f}",
        "verdict": row["verdict"],
        "from": row["how"],
    }


def grouped(verdicts: list[Verdict]) -> list[list[Verdict]]:
    """Verdicts that share a row: of one backend, precision and kind."""
    groups: dict[tuple[str, str, str], list[Verdict]] = {}
    for verdict in verdicts:
        cell = verdict.job.cell
        groups.setdefault((cell.backend, cell.precision, verdict.what), []).append(verdict)
    return [groups[name] for name in sorted(groups)]


def summary(group: list[Verdict]) -> dict[str, str]:
    """One row: a backend's comparisons of one kind, and the worst of them."""
    compared = [v for v in group if v.tensor]
    missing = len(group) - len(compared)
    cell = group[0].job.cell
    row = {"backend": cell.backend, "precision": cell.precision, "what": group[0].what, "compared": str(len(compared))}
    if compared:
        worst = max(compared, key=lambda v: v.distance / v.tolerance)
        row |= {
            "worst difference": f"{worst.distance:.1e}",
            "tolerance": f"{worst.tolerance:.0e}",
            "one ulp gives": "" if math.isnan(worst.response) else f"{worst.response:.1e}",
            "where": f"{problem_name(worst.job.cell.problem)}: {recipe_label(worst.job.cell.recipe)}, {worst.tensor}",
        }
    unequal = sum(v.differs for v in group)
    verdict = f"{unequal} differ" if unequal else "equal" if compared else "nothing to compare"
    return {**row, "verdict": verdict + (f" ({missing} not compared)" if missing else "")}


def difference(verdict: Verdict) -> str:
    """What differs, or why it was not compared, in a line."""
    cell = verdict.job.cell
    where = f"{cell.backend} {cell.precision} {problem_name(cell.problem)}: {recipe_label(cell.recipe)}"
    if not verdict.tensor:
        return f"{where}: {verdict.reason}"
    return f"{where}: {verdict.what} {verdict.tensor}: {verdict.distance:.2e} > {verdict.tolerance:.1e}"


def replayed(comparison: Comparison) -> dict[str, str]:
    """One row: a series then and now."""
    return {
        "series": comparison.series,
        "values": str(comparison.values),
        "difference": f"{comparison.difference:.2g}",
        "tolerance": "told only" if comparison.tolerance is None else f"{comparison.tolerance:g}",
        "equal": "yes" if comparison.equal else "no",
    }
