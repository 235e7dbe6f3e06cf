"""How often a diagnosis is right: on runs of which it is known what is wrong with them.

``python -m suites.detection --part tuning`` trains the labelled pairs (``suites.labelled``), leaves out those whose
fault cost nothing, judges every run that counts, and prints how often it was right, beside the rules that are in use
elsewhere (``suites.rules``), on the same runs. Runs go into a folder, and are not made again. ``--confusions`` tells
each run that was judged wrongly. ``--level full`` has the runs that count made once more, observed at that level, and
prints how often these are judged rightly, with more of a kind that is seen there alone (``suites.labelled.noise``).
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, get_args

from msgspec.structs import replace
from rich.console import Console

from harness import running
from harness.environment import fingerprint
from harness.execute.local import Settings
from harness.findings.diagnose import diagnosed
from harness.findings.finding import KINDS
from harness.findings.seen import Seen
from harness.judge.power import Rate, rate
from harness.spec.base import key
from harness.spec.cell import Cell
from harness.spec.job import Health, Job, Level
from harness.store import Store
from harness.study import Selection
from suites import rules
from suites.labelled import noise
from suites.labelled.outcome import harmed, trained
from suites.labelled.pairs import Pair, Part, pairs
from suites.labelled.planted import Label

GOALS = {"balanced accuracy": 0.9, "false alarms": 0.05, "right kind": 0.85, "right layer": 0.8, "right step": 0.8}


class Alarm(NamedTuple):
    """What a detector says first."""

    kind: str
    layer: str
    step: int


Detector = Callable[[Seen], Alarm | None]


class Verdict(NamedTuple):
    """A run that counts, what is true of it, and what each detector says of it first."""

    index: int  # of its pair
    family: str
    label: Label | None  # None: healthy
    window: int  # steps: a first step within so many is right
    alarms: dict[str, Alarm | None]  # detector → what it says


def ours(seen: Seen) -> Alarm | None:
    """The first finding that says that something is wrong."""
    first = next((finding for finding in diagnosed(seen).findings if finding.alarms), None)
    return None if first is None else Alarm(first.kind, first.layer, first.step)


DETECTORS: dict[str, Detector] = {
    "gradgauge": ours,
    **{name: lambda seen, rule=rule: _of_rule(rule(seen)) for name, rule in rules.RULES.items()},  # type: ignore[misc]
}


def _of_rule(found: tuple[str, str, int] | None) -> Alarm | None:
    return None if found is None else Alarm(*found)


def job(cell: Cell, measure: Health) -> Job:
    """A run as a job here."""
    return Job(cell, measure, fingerprint(sys.executable, cell.backend, cell.problem, 1))


def jobs(drawn: Iterable[Pair]) -> list[Job]:
    """Of each pair the twins, and the run with its fault."""
    found = []
    for pair in drawn:
        found += [job(cell, pair.measure) for cell in pair.twins]
        found.append(job(pair.faulty, pair.measure_of_faulty))
    return found


def judged(folder: Path, index: int, pair: Pair) -> list[Verdict]:
    """The two runs of a pair; none where it does not count."""
    store = Store.open(folder)
    *twins, faulty = [Seen(store.read(key(one))) for one in jobs([pair])]
    if not trained(twins[0]) or not harmed(faulty, twins, pair.label):
        return []
    return both(index, pair, twins[0], faulty)


def judged_again(folder: Path, index: int, pair: Pair) -> list[Verdict]:
    """The two runs of a pair that counts."""
    store = Store.open(folder)
    return both(index, pair, *(Seen(store.read(key(one))) for one in jobs([pair])))


def both(index: int, pair: Pair, healthy: Seen, faulty: Seen) -> list[Verdict]:
    """What is said of a healthy run, and of that with the fault."""
    window = pair.measure.every * pair.measure.window
    return [
        Verdict(index, pair.healthy.family, label, window, {n: detect(seen) for n, detect in DETECTORS.items()})
        for seen, label in ((healthy, None), (faulty, pair.label))
    ]


def at_level(level: Level, pair: Pair) -> Pair:
    """The pair, observed so; without the repetitions, which only say whether it counts."""
    return pair._replace(twins=pair.twins[:1], measure=replace(pair.measure, level=level))


class Score(NamedTuple):
    """How often a detector was right."""

    alarmed: Rate  # of the healthy
    found: Rate  # of those with a fault
    kind: Rate  # of those found, the right kind first
    layer: Rate  # of those found
    step: Rate  # of those found

    @property
    def balanced(self) -> float:
        """(recall + specificity)/2."""
        return (self.found.value + 1 - self.alarmed.value) / 2


def score(verdicts: list[Verdict], detector: str) -> Score:
    """Over these runs."""
    healthy = [v.alarms[detector] for v in verdicts if v.label is None]
    faulty = [(v.alarms[detector], v.label, v.window) for v in verdicts if v.label is not None]
    found = [(alarm, label, window) for alarm, label, window in faulty if alarm is not None]
    dated = [(alarm.step - label.step, window) for alarm, label, window in found if label.step is not None]

    def share(right: Iterable[bool], of: int) -> Rate:
        return rate(sum(right), of) if of else Rate(0, 0, 0.0, 1.0)

    return Score(
        share((alarm is not None for alarm in healthy), len(healthy)),
        share((True for _ in found), len(faulty)),
        share((alarm.kind == label.kind for alarm, label, _ in found), len(found)),
        share((alarm.layer in label.layers for alarm, label, _ in found), len(found)),
        share((abs(late) <= window for late, window in dated), len(dated)),
    )


def rows(verdicts: list[Verdict]) -> Iterator[tuple[str, Score]]:
    """The table: each detector on all runs, ours by kind and by architecture."""
    for detector in DETECTORS:
        yield detector, score(verdicts, detector)
    for kind in KINDS:
        one = [v for v in verdicts if v.label is not None and v.label.kind == kind]
        if one:
            yield f"gradgauge: {kind}", score(one, "gradgauge")
    for family in dict.fromkeys(v.family for v in verdicts):
        yield f"gradgauge: {family}", score([v for v in verdicts if v.family == family], "gradgauge")


def table(verdicts: list[Verdict]) -> str:
    """In Markdown. Intervals are those of Clopper and Pearson, 5 % beyond each end."""
    lines = [
        "| of runs | balanced accuracy | false alarms | found | right kind | right layer | right step |",
        "|---" * 7 + "|",
    ]
    for name, one in rows(verdicts):
        balanced = f"{one.balanced:.3f}" if one.alarmed.trials and one.found.trials else ""
        cells = " | ".join(_share(r) for r in (one.alarmed, one.found, one.kind, one.layer, one.step))
        lines.append(f"| {name} | {balanced} | {cells} |")
    return "\n".join(lines)


def _share(one: Rate) -> str:
    return f"{one.events}/{one.trials} = {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]" if one.trials else ""


def trust(verdicts: list[Verdict]) -> str:
    """In Markdown: of the alarms that come first, how many are of a kind, and how many of these are right."""
    lines = ["| says first | right | of |", "|---" * 3 + "|"]
    for kind in KINDS:
        said = [v.label for v in verdicts if (first := v.alarms["gradgauge"]) is not None and first.kind == kind]
        if said:
            lines.append(
                f"| {kind} | {sum(label is not None and label.kind == kind for label in said)} | {len(said)} |"
            )
    return "\n".join(lines)


def confusions(verdicts: list[Verdict], drawn: list[Pair]) -> Iterator[str]:
    """A line for each run that was judged wrongly."""
    for v in verdicts:
        said = v.alarms["gradgauge"]
        pair = drawn[v.index]
        if v.label is None and said is not None:
            yield f"{v.index} {v.family} healthy: said {said}"
        elif v.label is not None:
            wrong = []
            if said is None:
                wrong.append("missed")
            else:
                wrong += ["kind"] if said.kind != v.label.kind else []
                wrong += ["layer"] if said.layer not in v.label.layers else []
                wrong += ["step"] if v.label.step is not None and abs(said.step - v.label.step) > v.window else []
            if wrong:
                where = "/".join(sorted(v.label.layers)[:3])
                true = f"{v.label.kind}@{where}:{v.label.step}"
                yield f"{v.index} {v.family} {'+'.join(wrong)}: {true} said {said} {pair.faults}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="how often a diagnosis is right")
    parser.add_argument("--part", choices=get_args(Part), default="tuning")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--confusions", action="store_true")
    parser.add_argument("--level", choices=("standard", "full"), default="standard", help="what is observed of a step")
    asked = parser.parse_args()
    folder: Path = asked.out or Path("runs") / f"detection-{asked.part}"
    drawn = list(pairs(asked.part))
    found = trained_and_judged(folder, drawn, judged)
    counted = [drawn[i] for i in dict.fromkeys(v.index for v in found)]
    print(
        f"{asked.part}: {len(drawn)} pairs drawn, {len(counted)} count: the twin trains, and the fault costs something"
    )
    if asked.level != "standard":
        again = folder.with_name(f"{folder.name}-{asked.level}")
        drawn = [at_level(asked.level, pair) for pair in counted]
        found = trained_and_judged(again, drawn, judged_again)
        of_noise = list(noise.pairs(asked.part, asked.level, again / "targets"))
        theirs = trained_and_judged(again / "noise", of_noise, judged)
        found += [v._replace(index=v.index + len(drawn)) for v in theirs]
        drawn += of_noise
        print(f"{len(of_noise)} with targets that are dealt out at random, {len(theirs) // 2} count")
    print()
    print(table(found))
    print()
    print(trust(found))
    if asked.confusions:
        print()
        print("\n".join(confusions(found, drawn)))


def trained_and_judged(
    folder: Path, drawn: list[Pair], judge: Callable[[Path, int, Pair], list[Verdict]]
) -> list[Verdict]:
    """What is said of these pairs, whose runs go into the folder."""
    with Store.create(folder, {}) as store:
        tally = running.run("detection", Selection(jobs(drawn), {}), store, Settings(), False, Console(stderr=True))
    print(tally.sentence(), file=sys.stderr)
    with ProcessPoolExecutor() as pool:
        each = pool.map(judge, [folder] * len(drawn), range(len(drawn)), drawn, chunksize=4)
        return [verdict for found in each for verdict in found]


if __name__ == "__main__":
    main()
