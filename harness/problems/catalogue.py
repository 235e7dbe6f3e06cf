"""The named problems."""

import functools

from msgspec.structs import replace

from harness.errors import unknown
from harness.problems.cases import architectures, failing, functions, memory, worked
from harness.spec.base import Spec, key
from harness.spec.cell import Case
from harness.spec.problem import Network, Problem

_CASES = (*worked.CASES, *architectures.CASES, *memory.CASES, *failing.CASES, *functions.CASES)

CATALOGUE: dict[str, Case] = {case.name: case for case in _CASES}


def case(name: str) -> Case:
    """The catalogue's entry of that name."""
    if name not in CATALOGUE:
        raise unknown("problem", name, CATALOGUE)
    return CATALOGUE[name]


@functools.cache
def known_case(problem: Problem) -> Case | None:
    """The catalogue's case with this problem."""
    return next((case for case in CATALOGUE.values() if case.problem == problem), None)


def target(problem: Problem) -> float | None:
    """What counts as solved: of the case with this problem, or with this network on other samples of the same data."""
    case = known_case(problem) or _with_other_data(problem)
    return case.target if case is not None else None


def problem_name(problem: Problem) -> str:
    """The catalogue's name, with what is different of its data set or of a function; else its kind and hash."""
    known = known_case(problem)
    if known is not None:
        return known.name
    like = _with_other_data(problem)
    if like is not None and isinstance(problem, Network) and isinstance(like.problem, Network):
        return f"{like.name}[{_changes(like.problem.data, problem.data)}]"
    function = next((case for case in CATALOGUE.values() if type(case.problem) is type(problem)), None)
    if function is not None and not isinstance(problem, Network):
        changes = _changes(function.problem, problem)
        if "(" not in changes:  # a point has no place in a selector
            return f"{function.name}[{changes}]"
    return f"{problem.spelling()} {key(problem)[:6]}"


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
