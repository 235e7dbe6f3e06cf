"""The section on what asv measured: frameworks side by side on the newest commit, and each over commits."""

import math

from harness.judge.kinds import SECONDS
from harness.judge.speed import APART
from harness.report import commits_plots, commits_tables
from harness.report.material import Material
from harness.report.section import Figure, Item, Section, Statement, Table
from harness.report.tracked import Machine, Track
from harness.report.words import counted

LEAD = (
    "What asv recorded, machine by machine: first every benchmark on the newest commit, then what changed since the "
    "commit before, then each benchmark over commits. Lower is better everywhere. Beside each value stands how many "
    "times the lowest of its row it is, with an interval; the intervals of a machine hold together with 95 %. u: "
    "undecided, of a clock, a ratio of clocks or a peak of memory, with an interval that includes 1 or too few values "
    f"for one, and of seconds within {100 * APART:g} % too; what repeats exactly has no interval and no sign. "
    "Contenders were measured one after the other, not in turn, a process each."
)


def section(material: Material) -> Section:
    """Every machine's newest commit, changes and histories."""
    parts: list[Figure | Table] = []
    for place, machine in enumerate(material.asv.machines):
        level, name = commits_tables.level(machine), f"asv-{place}"
        tables = [
            commits_tables.newest(machine, track, f"{name}-{position}", level)
            for position, track in enumerate(machine.tracks)
        ]
        parts += [table for table in tables if table.frame.size]
        parts += commits_tables.changes(machine, f"{name}-changes")
        figures = (
            commits_plots.over_commits(machine, track, f"{name}-{position}-commits", folded=position > 0)
            for position, track in enumerate(machine.tracks)
        )
        parts += [figure for figure in figures if figure is not None]
    return Section("commits", "Over commits", LEAD, parts)


def statements(material: Material) -> list[Statement]:
    """Who is fastest on the newest commit, and what changed since the one before."""
    found = []
    for machine in material.asv.machines:
        items = [item for track in machine.tracks if (item := _fastest(machine, track)) is not None]
        if items:
            lead = f"**Commit {machine.newest[:8]}**, who is fastest beyond the noise, benchmark by benchmark:"
            found.append(Statement("Frameworks", f"asv on {machine.name}", [lead], ranking=items))
        found += [_changed(machine)]
    return found


def _fastest(machine: Machine, track: Track) -> Item | None:
    """In how many rows of a timed benchmark a contender is faster than each other one, beyond what a process moves.

    None where no row has intervals.
    """
    if track.benchmark.kind is not SECONDS:
        return None
    level = commits_tables.level(machine)
    wins: dict[str, int] = {}
    contested = 0
    for row in track.rows:
        ratios = commits_tables.over(machine, track, row, level)
        contested += any(math.isfinite(ratio.low) for ratio in ratios.values())
        if ratios and all(ratio.low > 1 and ratio.value > 1 + APART for ratio in ratios.values()):
            winner = next(iter(commits_tables.measured(machine, track, row)))
            wins[winner] = wins.get(winner, 0) + 1
    if not contested:
        return None
    ordered = sorted(wins.items(), key=lambda item: (-item[1], item[0]))
    undecided = contested - sum(wins.values())
    parts = [f"{who} {count} of {contested}" for who, count in ordered] + [f"undecided {undecided}"] * bool(undecided)
    series = machine.trackers[ordered[0][0]].series if ordered else None
    return Item(track.benchmark.name, ordered[0][0] if ordered else "undecided", ", ".join(parts), series)


def _changed(machine: Machine) -> Statement:
    place = f"asv on {machine.name}"
    if not machine.changes:
        return Statement("Over commits", place, ["One commit: nothing to compare it with."])
    sentences, bad = [], False
    for change in machine.changes:
        before, after, left = change.before, change.after, change.words and f" Not compared: {change.words}."
        sides = [one.verdict.side for one in change.compared.comparisons]
        if not sides:
            bad = True
            told = f"**Nothing in common:** {before.commit[:8]} → {after.commit[:8]} in {after.environment}.{left}"
            sentences.append(told)
            continue
        worse, better, undecided = (sides.count(side) for side in ("worse", "better", "undecided"))
        bad = bad or worse > 0
        sentences.append(
            f"**{worse} worse, {better} better** of {counted(len(sides), 'comparison')} ({undecided} undecided), "
            f"{before.commit[:8]} → {after.commit[:8]} in {after.environment}.{left}"
        )
    return Statement("Over commits", place, sentences, "bad" if bad else "")
