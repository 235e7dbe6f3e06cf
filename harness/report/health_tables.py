"""Tables on health: who stays healthy, what was found with its evidence, what was not observed."""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from harness.findings.finding import SEVERITIES, Finding
from harness.report import commands
from harness.report.health_runs import Case, Numbered, Run
from harness.report.health_words import confidence_words, evidence_words, kind_words
from harness.report.material import Material
from harness.report.section import Column, Entry, Table
from harness.report.trained import merit
from harness.report.words import NOTHING, counted, listed, number


def side_by_side(material: Material, cases: Sequence[Case]) -> Table:
    """Problem × recipe by backend: healthy, or the kinds of what is wrong."""
    contenders = material.present_of(run.contender for case in cases for run in case.runs)
    rows, long = [], []
    for case in cases:
        by_name = {run.contender.name: run for run in case.runs}
        runs = [by_name.get(contender.name) for contender in contenders]
        rows.append([Entry(case.label), *(_verdict(case, run) if run is not None else Entry(NOTHING) for run in runs)])
        long += [_keys(material, case, run) | _counts(run) for run in case.runs]
    columns = [Column("problem, recipe", wide=True), *(Column(one.name, wide=True) for one in contenders)]
    return Table(
        "health-who",
        "health",
        "Who stays healthy, with which optimizer, clip and penalty",
        columns,
        rows,
        pd.DataFrame(long),
        note="Healthy: nothing alarms, as far as was observed. Else the kinds of what alarms, what comes first first. "
        "Lighter: where training ended, and what is only noted.",
        again=commands.again(material, (run.record for case in cases for run in case.runs)),
    )


def findings(material: Material, cases: Sequence[Case]) -> list[Table]:
    """Each finding with why, the evidence beside what was expected, and what helps; those of all backends together."""
    found = [(case, one) for case in cases for one in case.numbered]
    alarms = [(case, one) for case, one in found if one.finding.alarms]
    notes = [(case, one) for case, one in found if not one.finding.alarms]
    return [
        _findings(material, name, title, some, folded)
        for name, title, some, folded in (
            ("health-findings", "What is wrong", alarms, len(alarms) > 40),
            ("health-notes", "What is worth knowing", notes, True),
        )
        if some
    ]


def _findings(material: Material, name: str, title: str, found: Sequence[tuple[Case, Numbered]], folded: bool) -> Table:
    return Table(
        name,
        "findings",
        title,
        [Column(head, numeric=head in NUMERIC, wide=head in WIDE) for head in HEADS],
        [_finding(case, one) for case, one in found],
        pd.DataFrame([row for case, one in found for run, _ in one.found for row in _long(material, case, one, run)]),
        note="The number is that of the rings in the maps of its problem and recipe. Confidence: how often a "
        "finding of this kind was right on runs of which it is known. Numbers are those of the first backend that "
        "found it.",
        folded=folded,
    )


HEADS = ("problem, recipe", "no.", "finding", "layer", "since", "why, and the evidence", "confidence", "remedies")
NUMERIC = ("no.", "since", "confidence")
WIDE = ("problem, recipe", "why, and the evidence", "remedies")


def not_observed(material: Material, cases: Sequence[Case], lacking: str) -> list[Table]:
    """What could not be judged: of how many runs, and why; ``lacking`` says what else could not be shown."""
    runs = [(case, run) for case in cases for run in case.runs]
    by_reason: dict[tuple[str, str], list[tuple[Case, Run]]] = {}
    for case, run in runs:
        for one in run.diagnosis.unjudged:
            by_reason.setdefault((one.kind, one.why), []).append((case, run))
    if not by_reason:
        return []
    rows = [
        [
            Entry(kind_words(kind)),
            Entry(why),
            Entry("all runs" if len(of) == len(runs) else counted(len(of), "run"), order=len(of)),
            Entry("" if len(of) == len(runs) else _few(case.label for case, _ in of)),
        ]
        for (kind, why), of in by_reason.items()
    ]
    frame = pd.DataFrame(
        [
            _keys(material, case, run) | {"kind": one.kind, "why": one.why}
            for case, run in runs
            for one in run.diagnosis.unjudged
        ]
    )
    columns = [Column("kind"), Column("why", wide=True), Column("of"), Column("namely", wide=True)]
    note = "What was not observed is not judged: it is neither healthy nor ill. " + lacking
    return [Table("health-not-observed", "not-observed", "What was not observed", columns, rows, frame, note)]


def _few(labels: Iterable[str]) -> str:
    every = list(dict.fromkeys(labels))
    return "; ".join(every) if len(every) <= 3 else f"{'; '.join(every[:2])} and {len(every) - 2} more"


def _verdict(case: Case, run: Run) -> Entry:
    alarms = dict.fromkeys(kind_words(one.kind) for one in run.diagnosis.findings if one.alarms)
    notes = dict.fromkeys(kind_words(one.kind) for one in run.diagnosis.findings if not one.alarms)
    light = [_end(case, run)]
    light += [f"noted: {', '.join(notes)}"] if notes else []
    text = ", ".join(alarms) or "healthy"
    return Entry(text, "; ".join(light), mark="stacked bad" if alarms else "stacked good")


def _end(case: Case, run: Run) -> str:
    """Where training ended: validation accuracy 0.95."""
    if run.diverged_at is not None:
        return f"diverged at step {run.diverged_at}"
    name, value = run.end
    kind, _, part = name.partition("/")
    return f"{part} {merit(case.setting) if kind == 'metric' else 'loss'} {number(value)}"


def _finding(case: Case, one: Numbered) -> list[Entry]:
    finding = one.finding
    first, last = (pick(found.step for _, found in one.found) for pick in (min, max))
    others = len(one.found) < len(case.runs)
    who = f"only {listed(run.contender.name for run, _ in one.found)}" if others else ""
    return [
        Entry(case.label, who),
        Entry(str(one.number), order=one.number),
        Entry(kind_words(finding.kind), finding.severity, mark="stacked bad" if finding.alarms else "stacked"),
        Entry(finding.layer or "the run", mark="name"),
        Entry(str(first) if first == last else f"{first}–{last}", order=first),
        Entry(finding.why, "; ".join(map(evidence_words, finding.evidence)), mark="prose stacked"),
        Entry(
            confidence_words(finding.confidence), order=-1.0 if math.isnan(finding.confidence) else finding.confidence
        ),
        Entry(", ".join(name.replace("_", " ") for name in finding.remedies) or NOTHING),
    ]


def _keys(material: Material, case: Case, run: Run) -> dict[str, object]:
    return {
        "record": material.key(run.record),
        "problem": case.setting.name,
        "conditions": case.setting.conditions,
        "recipe": material.recipe(case.recipe),
        "backend": run.contender.name,
        "seed": case.seed,
    }


def _counts(run: Run) -> dict[str, object]:
    found = run.diagnosis.findings
    return {
        "status": run.record.status,
        "ends_by": run.end[0],
        "end": run.end[1],
        "healthy": run.diagnosis.healthy,
        "kinds": " ".join(dict.fromkeys(finding.kind for finding in found if finding.alarms)),
    } | {f"{severity}s": sum(finding.severity == severity for finding in found) for severity in SEVERITIES}


def _long(material: Material, case: Case, one: Numbered, run: Run) -> Iterable[dict[str, object]]:
    """A row for each piece of evidence that one backend has of a finding; one with none where it has none."""
    finding = next(found for whose, found in one.found if whose is run)
    row = _keys(material, case, run) | {"number": one.number} | _plain(finding)
    for evidence in finding.evidence or (None,):
        fields = ("quantity", "observed", "expected", "low", "high")
        yield row | {field: getattr(evidence, field) if evidence is not None else None for field in fields}


def _plain(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "layer": finding.layer,
        "step": finding.step,
        "why": finding.why,
        "confidence": finding.confidence,
        "remedies": " ".join(finding.remedies),
    }
