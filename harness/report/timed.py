"""The timed cells of each setting, and what must be said beside their numbers."""

from collections.abc import Sequence

from harness.judge import speed
from harness.judge.speed import First, Group
from harness.report.material import Material, Setting, setting, setting_order
from harness.report.section import Legend
from harness.report.words import counted, listed, recipe_order
from harness.store import Record

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
SESSION = "Intervals are 95 % within this session; another session on this machine can differ by more."


def steps(material: Material) -> list[tuple[Setting, list[Group]]]:
    """The groups of each setting, in the order of reports."""
    found: dict[Setting, list[Group]] = {}
    for group in material.groups:
        found.setdefault(setting(group.cell, group.steady[0].job.measure), []).append(group)
    for groups in found.values():
        groups.sort(key=lambda group: (recipe_order(group.cell.recipe), group.cell.seed))
    return sorted(found.items(), key=lambda item: setting_order(item[0]))


def first_calls(material: Material) -> list[tuple[Setting, list[First]]]:
    """The first calls of each setting, in the order of reports."""
    order = list(material.contenders)
    found: dict[Setting, list[First]] = {}
    for first in material.first_calls:
        found.setdefault(setting(first.record.job.cell, first.record.job.measure), []).append(first)
    for firsts in found.values():
        firsts.sort(key=lambda f: (recipe_order(f.record.job.cell.recipe), order.index(speed.contender(f.record.job))))
    return sorted(found.items(), key=lambda item: setting_order(item[0]))


def label(material: Material, group: Group, among: Sequence[Group]) -> str:
    """A timed cell's name; with its seed where several were timed."""
    seeds = len({other.cell.seed for other in among}) > 1
    return material.recipe(group.cell.recipe) + (f", seed {group.cell.seed}" if seeds else "")


def unit(seconds: float) -> tuple[float, str]:
    """The unit in which a time reads well."""
    return next(((size, name) for size, name in UNITS if seconds >= size), UNITS[-1])


def overlapping(material: Material, records: Sequence[Record]) -> str:
    """A warning about contenders whose Python runs on, on a core of its own, while they compute; empty without any."""
    asynchronous = [
        speed.contender(record.job)
        for record in records
        if record.job.cell.device == "cpu" and record.facts.get("dispatch") == "asynchronous" and not held([record])
    ]
    if not asynchronous:
        return ""
    names = [contender.name for contender in material.present(asynchronous)]
    hand, their = ("hands", "its") if len(names) == 1 else ("hand", "their")
    return (
        f"{listed(names)} {hand} each step to a thread that computes while {their} Python goes on with the next, "
        "which takes one core more than there are threads. Held to a single core the order can be another."
    )


def held(records: Sequence[Record]) -> bool:
    """Whether all were kept on some cores, one a thread where there are so many (``measure.cores``)."""
    return all("cores" in record.facts for record in records)


def cores(records: Sequence[Record]) -> str:
    """Threads and the cores that they were kept on, in words; empty where some were not kept on any."""
    if not held(records):
        return ""
    pairs = sorted({(record.job.environment.threads, int(record.facts["cores"])) for record in records})
    words = [
        f"{_one(threads, 'thread')} on {_one(kept, 'core')}" + (" (fewer than threads)" if kept < threads else "")
        for threads, kept in pairs
    ]
    alike = len(pairs) == 1 and len({record.job.environment.machine for record in records}) == 1
    several = len({speed.contender(record.job) for record in records}) > 1
    same = f", the same {'core' if pairs[0][1] == 1 else 'cores'} for all" if alike and several else ""
    return listed(words) + same


def _one(count: int, thing: str) -> str:
    return f"one {thing}" if count == 1 else counted(count, thing)


def legend(material: Material, one: Setting, records: Sequence[Record]) -> list[Legend]:
    """Mode, what the first call compiles, threads, precision, and what is composed, for each contender."""
    entries = []
    for identity, contender in material.contenders.items():
        own = [record for record in records if speed.contender(record.job) == identity]
        if own:
            pieces = {f"{piece} of {material.recipe(r.job.cell.recipe)}" for r in own for piece in speed.composed(r)}
            facts = (
                f"{contender.mode(one.mode)}; compiles {contender.compiles}; {contender.threads}; {one.precision}; "
                + (f"composed: {listed(sorted(pieces))}" if pieces else "all native")
            )
            entries.append(Legend(contender, facts))
    return entries
