"""One side against another: ratios B/A, intervals that hold together, and what may be said.

Lower is better in every measurement, whatever it is of; whoever makes one sees to that.

Of m intervals each is made at 1 − α/m, so that all hold together with probability 1 − α (Bonferroni's inequality; Dunn,
*Multiple Comparisons Among Means*, 1961). Holm's procedure finds a little more, but it has no such intervals, and
without them nothing could be called equal.

**What no interval knows**: another session of the same program is another draw of memory layout, clock frequency and
neighbours (Mytkowicz et al., *Producing Wrong Data Without Doing Anything Obviously Wrong*, 2009). Values of one
session understate that. So, to be called worse or better, a ratio must lie beyond the margin too. How the sides were
timed decides what they are worth, from the best to the least:

- Blocks of one session are compared in pairs: they met the same moments.
- Sides that were timed apart, in several processes each, are compared by these, each over the pace of its core beside
  it (``measure.pace``): that takes out the moments, and the processes show how far their draws are apart.
- Seconds without several processes, or without a pace in common (asv's, a GPU's, first calls), say nothing within
  ``speed.APART``, whatever the margin.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from harness.judge import ratio_interval
from harness.judge.kinds import FAILED, SECONDS, Key, Measurement, median
from harness.judge.ratio_interval import Wobble
from harness.judge.speed import APART, FEWEST_BLOCKS, Floats, Interval

CONFIDENCE = 0.95
Side = Literal["better", "worse", "equal", "undecided"]


UNKNOWN = Wobble(math.nan, 0)  # where nothing was timed in several processes
FAILS, WORKS = FAILED.worse, FAILED.better


class Verdict(NamedTuple):
    """What may be said, and whether that is good."""

    side: Side
    words: str


@dataclass(frozen=True)
class Comparison:
    """One measurement of both sides."""

    key: Key
    a: Measurement
    b: Measurement
    ratio: Interval  # B/A; its ends hold together with those of all other comparisons
    verdict: Verdict
    how: str  # what the ratio was made from

    @property
    def apart(self) -> bool:
        """Whether seconds were compared that were timed apart, at a pace that nobody knows."""
        return self.a.kind is SECONDS and self.how.startswith("not paired")


@dataclass(frozen=True)
class Compared:
    """Everything that both sides measured, and what only one of them did."""

    comparisons: Sequence[Comparison]
    only_a: Sequence[Key]
    only_b: Sequence[Key]
    nowhere: Sequence[Key]  # failed on both sides
    intervals: int  # how many comparisons the intervals are corrected for


def compare(a: Mapping[Key, Measurement], b: Mapping[Key, Measurement], margin: float) -> Compared:
    """Compare what both sides measured; ``margin`` is the x of equal within x, as a fraction."""
    shared = [key for key in a if key in b]
    intervals = sum(countable(a[key], b[key]) for key in shared)
    wobbles, comparisons = _wobbles((a, b)), []
    for key in shared:
        one, other = _together(a[key], b[key])
        if _well(one) and _well(other):
            continue
        if one.values and other.values:
            wobble = wobbles.get((key.who, key.measure), UNKNOWN)
            ratio = ratio_of(one, other, 1 - (1 - CONFIDENCE) / max(intervals, 1), wobble)
            how = other.failed or one.failed or _how(one, other) + _left(a[key], b[key], len(one.values))
            comparisons.append(Comparison(key, one, other, ratio, decide(one, other, ratio, margin), how))
        elif one.values or other.values:
            verdict = Verdict("worse", FAILS) if one.values else Verdict("better", WORKS)
            comparisons.append(Comparison(key, one, other, ratio_interval.NONE, verdict, one.failed or other.failed))
    nowhere = [key for key in shared if not a[key].values and not b[key].values]
    only_a, only_b = ([k for k in one if k not in other and not _well(one[k])] for one, other in ((a, b), (b, a)))
    return Compared(comparisons, only_a, only_b, nowhere, intervals)


def countable(a: Measurement, b: Measurement) -> bool:
    """Whether there are values enough for an interval, and all have logarithms."""
    if _pairs(a, b):
        ratios = _ratios(a, b)
        return ratios.size >= FEWEST_BLOCKS and bool((np.isfinite(ratios) & (ratios > 0)).all())
    if _in_processes(a, b):
        return all(0 < value < math.inf for value in (*a.processes, *b.processes))
    positive = all(0 < value < math.inf for one in (a, b) for value in (*one.values.values(), *_ends(one)))
    return a.noisy and b.noisy and positive and min(a.size, b.size) >= FEWEST_BLOCKS


def _ends(one: Measurement) -> tuple[float, ...]:
    """The quartiles that are left of values that were not kept."""
    return one.quartiles[:2] if one.quartiles is not None else ()


def ratio_of(a: Measurement, b: Measurement, level: float, wobble: Wobble) -> Interval:
    """B over A, with an interval where there can be one; ``wobble`` of this contender's processes."""
    if not countable(a, b):
        return Interval(median(sorted(_ratios(a, b).tolist())) if _pairs(a, b) else _ratio(a.median, b.median))
    if _pairs(a, b):
        return ratio_interval.paired(_ratios(a, b), level)
    if _in_processes(a, b):
        return ratio_interval.processes(a.processes, b.processes, wobble, level)
    if a.quartiles is not None or b.quartiles is not None:
        return ratio_interval.from_quartiles(a.median, b.median, (a.spread, b.spread), level)
    before, after = (np.array([one.values[label] for label in sorted(one.values)]) for one in (a, b))
    return ratio_interval.apart(before, after, level)


def decide(a: Measurement, b: Measurement, ratio: Interval, margin: float) -> Verdict:
    """Worse or better only beyond 1 and beyond the margin; equal only if the whole interval is within the margin.

    Numbers that repeat exactly need no interval: too few for one, they are facts, but about these seeds alone.
    """
    margin = max(margin, APART) if _moody(a, b) else margin
    kind, high = a.kind, 1 + margin
    if math.isinf(a.median) != math.isinf(b.median):
        worse = b.median > a.median
        return Verdict("worse", kind.lost or kind.worse) if worse else Verdict("better", kind.found or kind.better)
    if not math.isnan(ratio.low):
        ends = ratio.low, ratio.high
    elif a.noisy or b.noisy:
        return Verdict("undecided", "undecided")
    else:
        facts = _ratios(a, b).tolist() if _pairs(a, b) else [ratio.value]
        ends = min(facts), max(facts)
    if 1 / high <= ends[0] and ends[1] <= high:
        return Verdict("equal", "equal" if ends == (1, 1) else f"equal within {100 * margin:g} %")
    if ends[0] > 1 and ratio.value > high:
        return Verdict("worse", kind.worse)
    if ends[1] < 1 and ratio.value < 1 / high:
        return Verdict("better", kind.better)
    return Verdict("undecided", "undecided")


def _how(a: Measurement, b: Measurement) -> str:
    """What a ratio is made from, in words."""
    pairs = len(_ratios(a, b)) if _pairs(a, b) else 0
    if pairs > 1:
        return f"{pairs} pairs by {a.pairing.partition(' ')[0]}"
    if pairs or not (a.noisy or b.noisy):
        return "one number"
    if _in_processes(a, b):
        return f"{len(a.processes)} and {len(b.processes)} processes, each over its core's pace"
    kept = ", from quartiles" if a.quartiles is not None or b.quartiles is not None else ""
    return f"not paired, {a.size} and {b.size} values{kept}"


def _well(one: Measurement) -> bool:
    """Whether it says that no run failed, which needs no saying."""
    return one.kind is FAILED and not any(one.values.values())


def _together(a: Measurement, b: Measurement) -> tuple[Measurement, Measurement]:
    """Both; of what is paired the values that have a partner: others are of other seeds."""
    if not _pairs(a, b):
        return a, b
    labels = a.values.keys() & b.values.keys()
    of_a, of_b = ({label: one.values[label] for label in sorted(labels)} for one in (a, b))
    return replace(a, values=of_a), replace(b, values=of_b)


def _left(a: Measurement, b: Measurement, pairs: int) -> str:
    """How many values have no partner, in words."""
    alone = len(a.values) + len(b.values) - 2 * pairs if _pairs(a, b) else 0
    return f", {alone} without a partner" if alone else ""


def _pairs(a: Measurement, b: Measurement) -> bool:
    return a.pairing == b.pairing != "" and not a.values.keys().isdisjoint(b.values.keys())


def _in_processes(a: Measurement, b: Measurement) -> bool:
    return not _pairs(a, b) and a.pace == b.pace != "" and min(len(a.processes), len(b.processes)) > 1


def _moody(a: Measurement, b: Measurement) -> bool:
    """Whether these are seconds that were timed apart, at a pace that nobody knows."""
    return a.noisy and a.kind is SECONDS and not _pairs(a, b) and not _in_processes(a, b)


def _wobbles(sides: Iterable[Mapping[Key, Measurement]]) -> dict[tuple[str, str], Wobble]:
    """How far processes are apart, by who computed and what was measured, over all that it was measured on."""
    groups: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for side in sides:
        for key, one in side.items():
            groups.setdefault((key.who, key.measure), []).append(one.processes)
    return {of: ratio_interval.wobble(found) for of, found in groups.items()}


def _ratios(a: Measurement, b: Measurement) -> Floats:
    """Pair by pair."""
    return np.array([_ratio(a.values[label], b.values[label]) for label in sorted(a.values.keys() & b.values.keys())])


def _ratio(a: float, b: float) -> float:
    """b/a; of negative numbers a/b, so that lower is below 1; 0 or ∞ where there is no ratio but an order."""
    if a == b:
        return 1.0
    if a * b > 0 and math.isfinite(a) and math.isfinite(b):
        return b / a if a > 0 else a / b
    return math.inf if b > a else 0.0
