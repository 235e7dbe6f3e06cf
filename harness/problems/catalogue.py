"""The named problems: the catalogue's, and within ``knowing`` those of a user's own files."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from msgspec.structs import replace

from harness.errors import InvalidInput, unknown
from harness.problems.cases import architectures, failing, functions, memory, worked
from harness.spec.base import Spec, key
from harness.spec.cell import Case
from harness.spec.problem import Network, Problem

_CASES = (*worked.CASES, *architectures.CASES, *memory.CASES, *failing.CASES, *functions.CASES)

CATALOGUE: dict[str, Case] = {case.name: case for case in _CASES}
_OWN: ContextVar[Mapping[Problem, Case]] = ContextVar("a user's own cases", default=MappingProxyType({}))


def case(name: str) -> Case:
    """The catalogue's entry of that name."""
    if name not in CATALOGUE:
        raise unknown("problem", name, CATALOGUE)
    return CATALOGUE[name]


@contextmanager
def knowing(own: Iterable[Case]) -> Iterator[None]:
    """Within it, a user's own cases name their problems and say what counts as solved; the catalogue names the rest."""
    token = _OWN.set(by_problem(own))
    try:
        yield
    finally:
        _OWN.reset(token)


def by_problem(cases: Iterable[Case]) -> dict[Problem, Case]:
    """Cases by problem; those of one problem under all their names. Refuses two targets for one problem."""
    found: dict[Problem, Case] = {}
    for case in cases:
        other = found.setdefault(case.problem, case)
        if other.target != case.target:
            raise InvalidInput(
                f"{other.name} and {case.name} are one problem with two targets, {_told(other)} and {_told(case)}: "
                "give both the same and run them again (what is recorded is kept)"
            )
        if case.name not in other.name.split(" = "):
            found[case.problem] = replace(other, name=f"{other.name} = {case.name}")
    return found


@functools.cache
def known_case(problem: Problem) -> Case | None:
    """The catalogue's case with this problem."""
    return next((case for case in CATALOGUE.values() if case.problem == problem), None)


def target(problem: Problem) -> float | None:
    """What counts as solved: of the case with this problem, or with this network on other samples of the same data.

    What a user's own case says of its problem is said, be it that there is no target.
    """
    case = _OWN.get().get(problem) or known_case(problem) or _with_other_data(problem)
    return case.target if case is not None else None


def problem_name(problem: Problem) -> str:
    """Its own case's name, or the catalogue's, with what is different of its data set or of a function; else its hash.

    A name that belongs to another problem already, as that of a copy that was edited, has the hash behind it.
    """
    case = _OWN.get().get(problem) or known_case(problem)
    if case is not None and not _taken(case):
        return case.name
    like = _with_other_data(problem)
    if like is not None and isinstance(problem, Network) and isinstance(like.problem, Network):
        return f"{like.name}[{_changes(like.problem.data, problem.data)}]"
    changed = _changed_function(problem) if case is None else None
    return changed or f"{case.name if case is not None else problem.spelling()} {key(problem)[:6]}"


def _changed_function(problem: Problem) -> str | None:
    """The first function of that kind, with its fields that differ; None where a selector could not say them."""
    if isinstance(problem, Network):
        return None
    case = next(case for case in CATALOGUE.values() if type(case.problem) is type(problem))
    changes = _changes(case.problem, problem)
    return None if "(" in changes else f"{case.name}[{changes}]"  # a point has no place in a selector


def _taken(case: Case) -> bool:
    """Whether a case's name is that of another problem."""
    if case.name in CATALOGUE:
        return CATALOGUE[case.name].problem != case.problem
    return any(other.name == case.name and other.problem != case.problem for other in _OWN.get().values())


def _told(case: Case) -> str:
    return "none" if case.target is None else f"{case.target:g}"


@functools.cache
def _with_other_data(problem: Problem) -> Case | None:
    """The case whose network this is, on a data set of the same name."""
    for case in CATALOGUE.values():
        if isinstance(problem, Network) and isinstance(case.problem, Network):
            same = case.problem.data.name == problem.data.name
            if same and replace(case.problem, data=problem.data) == problem:
                return case
    return None


def _changes(before: Spec, after: Spec) -> str:
    """The fields that differ, as a selector gives them."""
    pairs = [(field, getattr(before, field), getattr(after, field)) for field in before.__struct_fields__]
    return ",".join(f"{field}={new}" for field, old, new in pairs if new != old and new is not None)
