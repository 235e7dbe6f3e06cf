"""What could not be read of asv's or went wrong in it, and what its numbers were made with."""

import pandas as pd

from harness.asv_results import Result
from harness.judge import circumstances
from harness.judge.kinds import DIVERGED
from harness.report.material import Material, shown
from harness.report.section import Column, Entry, Table
from harness.report.tracked import Machine, Track
from harness.report.words import counted, listed


def troubles(material: Material) -> list[Table]:
    """Files that could not be used; what failed or diverged on the newest commit of each machine."""
    unreadable = [("cannot be read", "", shown(path), "", reason) for path, reason in material.asv.unreadable]
    lost = [
        (words, who, track.benchmark.name, parameters, f"commit {machine.newest[:8]} on {machine.name}")
        for machine in material.asv.machines
        for words, track, parameters, who in _lost(machine)
    ]
    names = ("status", "contender", "what", "parameters", "reason")
    rows = [*unreadable, *lost]
    if not rows:
        return []
    series = {name: tracker.series for name, tracker in material.asv.trackers.items()}
    entries = [
        [Entry(row[0], mark="bad"), Entry(row[1], series=series.get(row[1])), *(Entry(text) for text in row[2:])]
        for row in rows
    ]
    columns = [Column(name, wide=name in ("what", "reason")) for name in names]
    frame = pd.DataFrame(rows, columns=list(names))
    title = "Of asv's: cannot be read, failed, diverged"
    return [Table("asv-troubles-table", "asv-troubles", title, columns, entries, frame)]


def environment(material: Material) -> list[Table]:
    """What asv and the suite say of each machine's newest results."""
    rows = []
    for machine in material.asv.machines:
        newest = {result.environment: result for result in machine.results}  # the last of each
        for name, result in newest.items():
            place = f"{machine.name}, {name}, commit {result.commit[:8]}"
            rows += [(place, who, fact, text) for who, facts in result.facts.items() for fact, text in facts.items()]
    if not rows:
        return []
    names = ("result", "of", "fact", "value")
    entries = [[Entry(text) for text in row] for row in rows]
    columns = [Column(name, wide=name in ("result", "value")) for name in names]
    frame = pd.DataFrame(rows, columns=list(names))
    title = "What asv's newest numbers were made with"
    return [Table("asv-environment-table", "asv-environment", title, columns, entries, frame, folded=len(rows) > 20)]


def sentences(material: Material) -> list[str]:
    """What went wrong, in sentences."""
    found = []
    if material.asv.unreadable:
        files = [shown(path) for path, _ in material.asv.unreadable]
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        found.append(
            f"**{counted(len(files), 'file')} of asv's cannot be read, or not wholly:** {', '.join(files[:3])}{more}."
        )
    for machine in material.asv.machines:
        for words in ("failed", "diverged"):
            lost = [f"{who} in {track.benchmark.name}" for said, track, _, who in _lost(machine) if said == words]
            if lost:
                where = f"{listed(sorted(set(lost))[:4])}, commit {machine.newest[:8]}"
                found.append(f"**{counted(len(lost), 'benchmark')} of asv's {words}:** {where}.")
        found += [sentence for before, after, *_ in machine.changes for sentence in _untold(before, after)]
    return found


def _untold(before: Result, after: Result) -> list[str]:
    """Whose circumstances are known on one side of a comparison only."""
    lacking = circumstances.untold(before.measurements, after.measurements, before.facts, after.facts)
    return [
        f"**Unknown what {names} had at {one.commit[:8]}** in {one.environment}, compared with {other.commit[:8]}: "
        "threads, BLAS, devices."
        for one, other, names in zip((before, after), (after, before), lacking, strict=True)
        if names
    ]


def _lost(machine: Machine) -> list[tuple[str, Track, str, str]]:
    """What failed or diverged on the newest commit."""
    found = []
    for track in machine.tracks:
        for parameters, who in track.points:
            point = track.at(parameters, who, machine.newest)
            if point is None or point.entry.skipped:
                continue
            one = point.entry.measurement
            if not one.values:
                found.append(("failed", track, parameters, who))
            elif track.benchmark.kind is DIVERGED and one.median:
                found.append(("diverged", track, parameters, who))
    return found
