"""``gradgauge compare A B``: the numbers, and what must be said beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import asv_results
from harness.errors import InvalidInput, NothingMeasured, unknown
from harness.judge import circumstances, measurements
from harness.judge import compare as judge
from harness.judge.compare import FAILS, WORKS, Compared, Comparison
from harness.judge.kinds import BYTES, DIVERGED, LEVEL, SECONDS, STEPS, Key, Measurement
from harness.judge.speed import APART
from harness.sides import Side, side
from harness.store import Store

KINDS = (SECONDS, BYTES, STEPS, LEVEL, DIVERGED)
# What --fail-on takes: a verdict's words, or one of these.
GROUPS = ("any", "worse", "undecided", "missing")
_SAID = [word for kind in KINDS for word in (kind.better, kind.worse, kind.found, kind.lost) if word]
WORDS = tuple(dict.fromkeys((*GROUPS, *_SAID, FAILS, WORKS)))
NAMED = 5  # of what is missing
ORDER = ("worse", "better", "undecided", "equal")


@dataclass(frozen=True)
class Outcome:
    """Both sides' names, the comparisons (worst first), and what must be said beside them."""

    a: str
    b: str
    compared: Compared
    notes: Sequence[str]

    def fails(self, words: Sequence[str]) -> list[str]:
        """What of this ``--fail-on`` is about, in words."""
        lost = [f"missing: {_named(key)}" for key in self.compared.only_a] if "missing" in words else []
        return [f"{c.verdict.words}: {_named(c.key)}" for c in self.compared.comparisons if _counts(c, words)] + lost


def compare(a: str, b: str, folder: Path, margin: float) -> Outcome:
    """Compare two runs, or two of asv's results in a folder; ``margin`` as a fraction.

    Raises ``InvalidInput`` where a name is unknown or ambiguous, ``NothingMeasured`` where nothing can be compared.
    """
    one, other = side(a, folder), side(b, folder)
    if bool(one.commit) != bool(other.commit):
        run, result = (b, a) if one.commit else (a, b)
        raise InvalidInput(f"{run} is a run and {result} a result of asv's: compare two of a kind")
    changed = asv_results.changed(one.versions, other.versions)
    before, after = (
        {key: found for key, found in s.measured.measurements.items() if key.measure not in changed}
        for s in (one, other)
    )
    hosts = _hosts(one), _hosts(other)
    apart = bool(hosts[0] and hosts[1] and hosts[0] != hosts[1])
    compared = judge.compare(before, _elsewhere(after, hosts[1]) if apart else after, margin)
    notes = list(dict.fromkeys((*one.unreadable, *other.unreadable)))
    notes += [f"not compared, the benchmark itself changed: {', '.join(changed)}"] if changed else []
    notes += _missing(compared, one, other) + _differences(one, other, hosts if apart else ("", ""))
    if not compared.comparisons:
        raise NothingMeasured("; ".join((f"{one.name} and {other.name} have nothing in common", *notes)))
    if any(one.apart for one in compared.comparisons):
        notes.append(
            "not paired: seconds that were timed apart, in one process or at an unknown pace of its core, another "
            f"session moves by several per cent; so only beyond {100 * max(margin, APART):g} % are they called faster "
            "or slower, and none equal within less"
        )
    if any("processes" in one.how for one in compared.comparisons):
        notes.append("processes: such ratios are over the pace of the cores at the time, not of the medians beside")
    ordered = sorted(compared.comparisons, key=lambda c: (ORDER.index(c.verdict.side), c.key.measure, c.key))
    found = Compared(ordered, compared.only_a, compared.only_b, compared.nowhere, compared.intervals)
    return Outcome(one.name, other.name, found, notes)


def known(words: Sequence[str]) -> tuple[str, ...]:
    """What ``--fail-on`` was given, or the error that names what it takes."""
    for word in words:
        if word not in WORDS:
            raise unknown("verdict of --fail-on", word, WORDS)
    return tuple(words)


def _hosts(one: Side) -> str:
    """The hosts that a run was measured on; empty where records of an older gradgauge do not tell, and of asv's."""
    return "" if one.commit else ", ".join(sorted(Store.open(Path(one.name)).told("host")))


def _elsewhere(found: Mapping[Key, Measurement], hosts: str) -> dict[Key, Measurement]:
    """Measurements whose paces are of other cores than those of the other side, be these of the same kind."""
    return {key: replace(one, pace=f"{one.pace} on {hosts}") if one.pace else one for key, one in found.items()}


def _differences(a: Side, b: Side, hosts: tuple[str, str]) -> list[str]:
    """How the circumstances differ; a machine's difference is a warning."""
    facts = a.measured.facts, b.measured.facts
    both = [
        who for who in facts[0] if all("machine" in one.get(who, {}) for one in facts)
    ]  # one may tell of itself alone
    machines = [sorted({one[who]["machine"] for who in both}) for one in facts]
    if machines[0] == machines[1]:  # of one kind
        machines = [[name] for name in hosts]
    words = " against ".join(", ".join(names) for names in machines)
    notes = [f"warning: two machines ({words}): the ratios compare these too"] if machines[0] != machines[1] else []
    notes += measurements.differences(*facts)
    notes += _untold(a, b) if a.commit else []
    if not notes and a.commit == b.commit:
        notes.append("the same commit and environment on both sides")
    return notes


def _untold(a: Side, b: Side) -> list[str]:
    """Whose circumstances one of asv's results does not tell, and the other does."""
    lacking = circumstances.untold(a.measured.measurements, b.measured.measurements, a.measured.facts, b.measured.facts)
    return [
        f"unknown: what {names} had at {one.name}: threads, BLAS, devices; only the other side tells"
        for one, names in zip((a, b), lacking, strict=True)
        if names
    ]


def _missing(compared: Compared, a: Side, b: Side) -> list[str]:
    kinds = (
        (f"only in {a.name}", compared.only_a),
        (f"only in {b.name}", compared.only_b),
        ("no numbers on both sides", compared.nowhere),
    )
    return [f"{words}: {len(keys)}: {_few(keys)}" for words, keys in kinds if keys]


def _few(keys: Sequence[Key]) -> str:
    more = [f"and {len(keys) - NAMED} more"] if len(keys) > NAMED else []
    return "; ".join([*(_named(key) for key in keys[:NAMED]), *more])


def _named(key: Key) -> str:
    return ", ".join(filter(None, (key.who, key.what, key.measure)))


def _counts(one: Comparison, words: Sequence[str]) -> bool:
    """Whether a comparison is what ``--fail-on`` asks for."""
    side = one.verdict.side
    return one.verdict.words in words or side in words or ("any" in words and side in ("worse", "better"))


def row(one: Comparison) -> dict[str, object]:
    """A comparison in plain numbers."""
    return {
        **one.key._asdict(),
        "a": one.a.median,
        "b": one.b.median,
        "unit": one.a.kind.unit,
        "ratio": one.ratio.value,
        "low": one.ratio.low,
        "high": one.ratio.high,
        "verdict": one.verdict.words,
        "side": one.verdict.side,
        "how": one.how,
    }
