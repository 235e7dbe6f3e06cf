"""What problems are called, and what counts as solved: the catalogue's, and a user's own in a file."""

import pytest
from msgspec.structs import replace

from harness.errors import InvalidInput
from harness.problems.catalogue import CATALOGUE, knowing, problem_name, target
from harness.spec.base import key
from harness.spec.problem import Quadratic

ROSENBROCK, DIGITS = CATALOGUE["rosenbrock"], CATALOGUE["digits-64-10-l2"]
VALLEY = replace(ROSENBROCK, name="valley", problem=replace(ROSENBROCK.problem, b=50.0), target=0.5)


def test_a_case_in_a_file_names_its_problem_and_its_target_while_it_is_known():
    assert (problem_name(VALLEY.problem), target(VALLEY.problem)) == ("rosenbrock[b=50.0]", None)
    with knowing([VALLEY]):
        assert (problem_name(VALLEY.problem), target(VALLEY.problem)) == ("valley", 0.5)
        assert (problem_name(ROSENBROCK.problem), target(ROSENBROCK.problem)) == ("rosenbrock", ROSENBROCK.target)
    assert target(VALLEY.problem) is None


def test_a_catalogues_problem_under_another_name_and_without_its_target():
    with knowing([replace(DIGITS, name="mine", target=None)]):
        assert (problem_name(DIGITS.problem), target(DIGITS.problem)) == ("mine", None)


def test_an_edited_copy_that_kept_its_name_is_told_from_the_original():
    copy = replace(VALLEY, name="rosenbrock")
    with knowing([copy]):
        assert problem_name(copy.problem) == f"rosenbrock {key(copy.problem)[:6]}"
        assert problem_name(ROSENBROCK.problem) == "rosenbrock"
    data = replace(DIGITS.problem.data, training=100)
    fewer = replace(DIGITS, problem=replace(DIGITS.problem, data=data), target=0.5)
    with knowing([fewer]):
        assert (problem_name(fewer.problem), target(fewer.problem)) == ("digits-64-10-l2[training=100]", 0.5)


def test_two_problems_of_one_name_and_two_names_of_one_problem():
    other = replace(VALLEY, problem=Quadratic(condition=7.0))
    with knowing([VALLEY, other]):
        names = {problem_name(case.problem) for case in (VALLEY, other)}
    assert names == {f"valley {key(case.problem)[:6]}" for case in (VALLEY, other)}
    with knowing([VALLEY, replace(VALLEY, name="other")]):
        assert problem_name(VALLEY.problem) == "valley = other"


def test_one_problem_has_one_target():
    with pytest.raises(InvalidInput, match="valley and other are one problem with two targets, 0.5 and none"):
        knowing([VALLEY, replace(VALLEY, name="other", target=None)]).__enter__()


@pytest.mark.parametrize("name", ["", " ", "two\nlines"])
def test_a_name_that_no_report_can_print_is_refused(name):
    with pytest.raises(InvalidInput, match=r"case\.name = "):
        replace(VALLEY, name=name)
