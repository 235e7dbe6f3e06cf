"""How often a remedy that a diagnosis proposes makes a run as good as if nothing had been wrong with it.

``python -m suites.remedies --part tuning`` takes the labelled pairs that count (``suites.labelled``), diagnoses the run
with the fault, and applies what is proposed, one remedy after another, from the same seed, until one makes the run end
where its healthy twins do: no worse than they by what a fault must cost to count. A run in which nothing is found, or
that no proposed remedy cures, is not cured. Runs go into a folder, and are not made again.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, get_args

from rich.console import Console

from harness import running
from harness.diagnosis import Diagnosed
from harness.execute.local import Settings
from harness.findings.diagnose import diagnose
from harness.findings.finding import KINDS
from harness.findings.seen import Seen
from harness.judge.power import Rate, rate
from harness.spec.base import key
from harness.spec.job import Job
from harness.store import Store
from harness.study import Selection
from harness.treatment import Trial, proposed
from suites.detection import jobs
from suites.labelled.outcome import final, harmed, trained
from suites.labelled.pairs import Pair, Part, pairs

GOAL = 0.85  # of the planted faults
# What takes a fault away that was planted on the way; the others change the spec, and leave it where it is.
UNDOING = ("restore", "rate_restored")


class Case(NamedTuple):
    """A pair that counts, and what is proposed for its run with the fault."""

    index: int
    pair: Pair
    trials: tuple[Trial, ...]


class Cured(NamedTuple):
    """What became of a case: the remedy that helped, or None; the loss, in the best constant answer's, it came to."""

    case: Case
    remedy: str | None
    ends: dict[str, float]  # remedy → where it ended


def counted(folder: Path, index: int, pair: Pair) -> Case | None:
    """The case of a pair, if it counts."""
    store = Store.open(folder)
    records = [store.read(key(one)) for one in jobs([pair])]
    *twins, faulty = [Seen(record) for record in records]
    if not trained(twins[0]) or not harmed(faulty, twins, pair.label):
        return None
    found = Diagnosed(records[-1], diagnose(records[-1]))
    return Case(index, pair, tuple(proposed(found, {})))


def ended(folder: Path, pair: Pair, job: Job) -> tuple[bool, float]:
    """Whether a run with a remedy ends as the twins do, and where."""
    store = Store.open(folder)
    *twins, _ = [Seen(store.read(key(one))) for one in jobs([pair])]
    record = store.read(key(job))
    if record.status != "ok":
        return False, float("inf")
    part = "validation" if pair.label.kind == "over_fitting" else "training"
    return not harmed(Seen(record), twins, pair.label), final(Seen(record), part)


def cure(cases: Sequence[Case], folder: Path, store: Store) -> list[Cured]:
    """Apply what is proposed, each case's first remedy, then the second of those that it did not cure, and so on."""
    ends: dict[int, dict[str, float]] = {case.index: {} for case in cases}
    helped: dict[int, str] = {}
    for turn in range(max((len(case.trials) for case in cases), default=0)):
        todo = [case for case in cases if case.index not in helped and turn < len(case.trials)]
        selection = Selection([case.trials[turn].job for case in todo], {})
        tally = running.run(f"remedy {turn + 1}", selection, store, Settings(), False, Console(stderr=True))
        print(f"remedy {turn + 1}: {tally.sentence()}", file=sys.stderr)
        with ProcessPoolExecutor() as pool:
            found = pool.map(
                ended, [folder] * len(todo), [case.pair for case in todo], [case.trials[turn].job for case in todo]
            )
            for case, (good, end) in zip(todo, found, strict=True):
                ends[case.index][case.trials[turn].remedy] = end
                if good:
                    helped[case.index] = case.trials[turn].remedy
    return [Cured(case, helped.get(case.index), ends[case.index]) for case in cases]


def rows(found: Sequence[Cured]) -> Iterator[tuple[str, Sequence[Cured]]]:
    """All runs, then those of each kind of fault."""
    yield "all", found
    for kind in KINDS:
        one = [cured for cured in found if cured.case.pair.label.kind == kind]
        if one:
            yield kind, one


def table(found: Sequence[Cured]) -> str:
    """In Markdown; intervals are those of Clopper and Pearson, 5 % beyond each end."""
    lines = ["| fault | cured | by going back | by a change of the spec | remedies |", "|---|---|---|---|---|"]
    for name, some in rows(found):
        by = Counter(cured.remedy for cured in some if cured.remedy is not None)
        back = sum(count for remedy, count in by.items() if remedy in UNDOING)
        told = ", ".join(f"{remedy.replace('_', ' ')} {count}" for remedy, count in by.most_common())
        share = _share(rate(by.total(), len(some)))
        lines.append(f"| {name.replace('_', ' ')} | {share} | {back} | {by.total() - back} | {told} |")
    return "\n".join(lines)


def _share(one: Rate) -> str:
    return f"{one.events}/{one.trials} = {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def left(found: Sequence[Cured]) -> Iterator[str]:
    """A line for each run that nothing cured."""
    for cured in found:
        if cured.remedy is None:
            pair = cured.case.pair
            ends = ", ".join(f"{remedy} {end:.2g}" for remedy, end in cured.ends.items()) or "nothing proposed"
            yield f"{cured.case.index} {pair.healthy.family} {pair.label.kind}@{pair.label.step}: {ends} {pair.faults}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="how often a remedy cures")
    parser.add_argument("--part", choices=get_args(Part), default="tuning")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--left", action="store_true", help="tell each run that nothing cured")
    asked = parser.parse_args()
    folder: Path = asked.out or Path("runs") / f"detection-{asked.part}"
    drawn = list(pairs(asked.part))
    with Store.create(folder, {}) as store:
        tally = running.run("pairs", Selection(jobs(drawn), {}), store, Settings(), False, Console(stderr=True))
        print(tally.sentence(), file=sys.stderr)
        with ProcessPoolExecutor() as pool:
            some = pool.map(counted, [folder] * len(drawn), range(len(drawn)), drawn, chunksize=4)
            cases = [case for case in some if case is not None]
        found = cure(cases, folder, store)
    print(f"{asked.part}: of {len(cases)} faults that cost something, cured by a remedy that was proposed:\n")
    print(table(found))
    if asked.left:
        print()
        print("\n".join(left(found)))


if __name__ == "__main__":
    main()
