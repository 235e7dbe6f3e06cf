"""Health in the summary's words: what stays healthy, what is wrong with the others, whether backends agree on it."""

from collections.abc import Sequence

from harness.report.health_runs import Case, Run, cases
from harness.report.health_words import kind_words
from harness.report.material import Material
from harness.report.section import Item, Statement
from harness.report.words import counted, listed


def statements(material: Material) -> list[Statement]:
    """One for each problem that was run with several recipes, one for all the others."""
    by_problem: dict[str, list[Case]] = {}
    for case in cases(material):
        by_problem.setdefault(case.setting.name, []).append(case)
    found = [
        _statement(name, _thing(some), [(case.rest, case) for case in some])
        for name, some in by_problem.items()
        if len(some) > 1
    ]
    single = [(some[0].label, some[0]) for some in by_problem.values() if len(some) == 1]
    return found + ([_statement("", "problem", single)] if single else [])


def _thing(some: Sequence[Case]) -> str:
    """What cases of one problem differ in."""
    return "recipe" if len({case.recipe for case in some}) == len(some) else "run"


def _statement(place: str, thing: str, named: Sequence[tuple[str, Case]]) -> Statement:
    ill = [(name, case) for name, case in named if not case.healthy]
    healthy = len(named) - len(ill)
    if not ill:
        lead = f"**Nothing alarms**, as far as was observed, in {counted(len(named), thing)}."
    elif not healthy:
        lead = f"**None of {counted(len(named), thing)} is healthy:**"
    else:
        lead = f"**{healthy} of {counted(len(named), thing)} healthy**, as far as was observed. The others:"
    return Statement(
        "Health",
        place,
        [lead, *filter(None, (_agreed(named), _unjudged([case for _, case in named])))],
        "" if ill else "good",
        [Item(name, ", ".join(kind_words(kind) for kind in _kinds(case)), _since(case)) for name, case in ill],
    )


def _kinds(case: Case) -> list[str]:
    """What any backend alarms of, in the order in which it is found."""
    return list(dict.fromkeys(one.finding.kind for one in case.numbered if one.finding.alarms))


def _since(case: Case) -> str:
    """Where it begins; and where training ended."""
    first = min((f for one in case.numbered for _, f in one.found if f.alarms), key=lambda finding: finding.step)
    lost = sorted({run.diverged_at for run in case.runs if run.diverged_at is not None})
    where = f"{first.layer or 'the run'} from step {first.step}"
    return where + (f", diverged at step {lost[0]}" if lost else "")


def _agreed(named: Sequence[tuple[str, Case]]) -> str:
    """Whether backends alarm of the same kinds."""
    several = [(name, case) for name, case in named if len(case.runs) > 1]
    if not several:
        return ""
    apart = [(name, case) for name, case in several if len({_alarms(run) for run in case.runs}) > 1]
    if not apart:
        return "All backends alarm of the same kinds."
    told = [f"{name} ({_apart(case)})" for name, case in apart[:4]]
    more = f" and {len(apart) - 4} more" if len(apart) > 4 else ""
    return f"Backends differ in what they alarm of with {'; '.join(told)}{more}."


def _apart(case: Case) -> str:
    """Who alarms of what."""
    by_kinds: dict[frozenset[str], list[str]] = {}
    for run in case.runs:
        by_kinds.setdefault(_alarms(run), []).append(run.contender.name)
    return ", ".join(
        f"{listed(who)}: {listed(kind_words(kind) for kind in _kinds(case) if kind in kinds) if kinds else 'nothing'}"
        for kinds, who in by_kinds.items()
    )


def _alarms(run: Run) -> frozenset[str]:
    return frozenset(finding.kind for finding in run.diagnosis.findings if finding.alarms)


def _unjudged(some: Sequence[Case]) -> str:
    """What could not be judged in any of the runs."""
    each = [{one.kind for one in run.diagnosis.unjudged} for case in some for run in case.runs]
    never = [kind for kind in sorted(set.intersection(*map(set, each))) if each]
    return f"Never observed, so never judged: {listed(kind_words(kind) for kind in never)}." if never else ""
