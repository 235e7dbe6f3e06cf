"""What asv measured as tables: frameworks side by side on one commit, and what changed since the commit before."""

import math
import statistics
from collections.abc import Sequence

import pandas as pd

from harness.asv_results import CONTENDER
from harness.judge import compare
from harness.judge.compare import CONFIDENCE, Comparison
from harness.judge.kinds import DIVERGED, SECONDS, STEPS, Kind, Measurement
from harness.judge.measurements import differences
from harness.judge.speed import APART, MARGIN, Interval
from harness.report.section import Column, Entry, Table
from harness.report.timed import UNITS
from harness.report.tracked import Machine, Track
from harness.report.words import NOTHING, between, counted, fixed, number

BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "bytes"))
NEWEST, CHANGES, SERIES = "asv-newest", "asv-changes", "asv-commits"
Row = dict[str, object]


def scale(kind: Kind, values: Sequence[float]) -> tuple[float, str]:
    """The unit in which most of these values read well: that of the median."""
    units = {"s": UNITS, "bytes": BYTES}.get(kind.unit)
    if units is None:
        return 1.0, kind.unit
    middle = statistics.median_low([abs(value) for value in values if value and math.isfinite(value)] or [1.0])
    return next((one for one in units if middle >= one[0]), units[-1])


def newest(machine: Machine, track: Track, name: str, level: float) -> Table:
    """One benchmark on the newest commit, ratios to the lowest contender of the same parameters; the long way down."""
    kind = track.benchmark.kind
    here = {who for row, who in track.points if track.at(row, who, machine.newest) is not None}
    whos = [who for who in machine.trackers if who in track.who and who in here]
    values = [one.median for row in track.rows for one in measured(machine, track, row).values()]
    size, unit = scale(kind, values)
    cells: dict[tuple[str, str], Entry] = {}
    long = []
    for row in track.rows:
        ratios = over(machine, track, row, level)
        first = next(iter(measured(machine, track, row)), "")
        for who in whos:
            point = track.at(row, who, machine.newest)
            if point is None or point.entry.skipped:
                cells[row, who] = Entry("skipped" if point is not None else NOTHING, order=math.inf)
                continue
            cells[row, who] = _cell(kind, point.entry.measurement, size, ratios.get(who))
            numbers = ratios.get(who, Interval(math.nan))
            long.append(
                _place(machine, track, row, who)
                | {"commit": machine.newest}
                | _numbers(point.entry.measurement)
                | {"over": first if who in ratios else ""}
                | {"ratio": numbers.value, "low": numbers.low, "high": numbers.high}
            )
    parameters = ", ".join(name for name in track.benchmark.names if name != CONTENDER)
    if len(track.rows) < len(whos):
        columns = [Column(CONTENDER), *(Column(row or "value", unit, parameters, numeric=True) for row in track.rows)]
        heads = [Entry(who, series=machine.trackers[who].series) for who in whos]
        body = [[cells[row, who] for row in track.rows] for who in whos]
    else:
        columns = [Column(parameters or "benchmark"), *(Column(who, unit, numeric=True) for who in whos)]
        heads = [Entry(row or track.benchmark.name) for row in track.rows]
        body = [[cells[row, who] for who in whos] for row in track.rows]
    rows = [[head, *entries] for head, entries in zip(heads, body, strict=True)]
    title = f"{track.benchmark.name}, commit {machine.newest[:8]}"
    return Table(name, NEWEST, title, columns, rows, pd.DataFrame(long))


def measured(machine: Machine, track: Track, row: str) -> dict[str, Measurement]:
    """The contenders that have a number on the newest commit, the lowest first."""
    points = {who: track.at(row, who, machine.newest) for who in machine.trackers}
    found = {who: p.entry.measurement for who, p in points.items() if p is not None and p.entry.measurement.values}
    return dict(sorted(found.items(), key=lambda item: middle(item[1])))


def middle(one: Measurement) -> float:
    """The median as ratios are made of it, of logarithms: of an even number of values another than theirs."""
    values = one.values.values()
    if not all(0 < value < math.inf for value in values):
        return one.median
    return math.exp(statistics.median(math.log(value) for value in values))


def over(machine: Machine, track: Track, row: str, level: float) -> dict[str, Interval]:
    """How many times the lowest contender's number each other one's is; nothing where that is not positive."""
    found = measured(machine, track, row)
    lowest = next(iter(found), "")
    if not found or not 0 < found[lowest].median < math.inf:
        return {}
    return {
        who: compare.ratio_of(found[lowest], one, level, compare.UNKNOWN) for who, one in found.items() if who != lowest
    }


def level(machine: Machine) -> float:
    """The level of each interval on the newest commit, so that all of a machine's hold together."""
    count = 0
    for track in machine.tracks:
        for row in track.rows:
            found = list(measured(machine, track, row).values())
            count += sum(compare.countable(found[0], one) for one in found[1:])
    return 1 - (1 - CONFIDENCE) / max(count, 1)


def changes(machine: Machine, name: str) -> list[Table]:
    """What changed since the commit before, environment by environment."""
    tables = []
    for place, change in enumerate(machine.changes):
        before, after, compared = change.before, change.after, change.compared
        told = [one for one in compared.comparisons if one.verdict.side in ("worse", "better")]
        told.sort(key=lambda one: (one.verdict.side == "better", one.key.measure, one.key))
        undecided = sum(one.verdict.side == "undecided" for one in compared.comparisons)
        equal = len(compared.comparisons) - undecided - len(told)
        words = f"{before.commit[:8]} → {after.commit[:8]}"
        other = "; ".join(differences(before.facts, after.facts))
        tables.append(
            Table(
                f"{name}-{place}",
                CHANGES,
                f"Since the commit before: {words}, {after.environment}",
                [
                    *(Column(heading, wide=heading == "benchmark") for heading in ("contender", "benchmark")),
                    Column("parameters"),
                    *(Column(heading, numeric=True) for heading in ("before", "after", "ratio")),
                    Column("verdict"),
                ],
                [_change(machine, one) for one in told],
                pd.DataFrame([_change_row(machine, words, after.environment, one) for one in compared.comparisons]),
                note=f"{counted(len(compared.comparisons), 'comparison')}: {len(told)} shown, {equal} equal, "
                f"{undecided} undecided. Intervals hold together with 95 %. Seconds are of one process a commit, which "
                f"another one would move: they differ, or are equal, by {100 * APART:g} %, all else by "
                f"{100 * MARGIN:g} %."
                + (f" Not compared: {change.words}." if change.words else "")
                + (f" What they were measured with changed: {other}." if other else ""),
                folded=not told,
            )
        )
    return tables


def series(machine: Machine, track: Track) -> pd.DataFrame:
    """Every value of a benchmark over commits, for the CSV."""
    rows = [
        {
            **_place(machine, track, parameters, who),
            "commit": point.result.commit,
            "date": point.result.date,
            "environment": point.result.environment,
            **_numbers(point.entry.measurement),
        }
        for (parameters, who), points in track.points.items()
        for point in points
    ]
    return pd.DataFrame(rows)


def _cell(kind: Kind, one: Measurement, size: float, ratio: Interval | None) -> Entry:
    if not one.values:
        return Entry(one.failed, order=math.inf, mark="bad")
    if kind is DIVERGED:
        return Entry("diverged" if one.median else "no", order=one.median, mark="bad" if one.median else "")
    light = ""
    if ratio is not None:
        least = 1 + APART if kind is SECONDS else 1.0
        undecided = one.noisy and not (ratio.low > 1 and ratio.value > least)
        light = " ".join(filter(None, (f"×{number(ratio.value)}", between(ratio), "u" if undecided else "")))
    return Entry(_shown(one.median / size, kind), light, one.median)


def _shown(value: float, kind: Kind) -> str:
    """Three digits; steps are whole."""
    return fixed(value, 0) if kind is STEPS and math.isfinite(value) else number(value)


def _place(machine: Machine, track: Track, parameters: str, who: str) -> Row:
    name = track.benchmark.name
    return {"machine": machine.name, "benchmark": name, "contender": who, "parameters": parameters}


def _numbers(one: Measurement) -> Row:
    return {"unit": one.kind.unit, "value": one.median, "values": one.size, "failed": one.failed}


def _change(machine: Machine, one: Comparison) -> list[Entry]:
    worse = one.verdict.side == "worse"
    known = [found.median for found in (one.a, one.b) if found.values]
    size, unit = scale(one.a.kind, known)
    shown = [f"{_shown(m.median / size, m.kind)} {unit}".strip() if m.values else m.failed for m in (one.a, one.b)]
    tracker = machine.trackers.get(one.key.who)
    return [
        Entry(one.key.who or "value", series=tracker.series if tracker is not None else None),
        Entry(one.key.measure),
        Entry(one.key.what),
        *(Entry(text, order=m.median) for text, m in zip(shown, (one.a, one.b), strict=True)),
        Entry(number(one.ratio.value), between(one.ratio), one.ratio.value),
        Entry(one.verdict.words, mark="bad" if worse else "good"),
    ]


def _change_row(machine: Machine, commits: str, environment: str, one: Comparison) -> Row:
    return {
        "machine": machine.name,
        "environment": environment,
        "commits": commits,
        "contender": one.key.who,
        "benchmark": one.key.measure,
        "parameters": one.key.what,
        "before": one.a.median,
        "after": one.b.median,
        "ratio": one.ratio.value,
        "low": one.ratio.low,
        "high": one.ratio.high,
        "verdict": one.verdict.words,
        "made_from": one.how,
    }
