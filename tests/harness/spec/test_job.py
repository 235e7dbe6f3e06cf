"""Jobs: what can be timed of a recipe."""

import pytest

from harness.errors import InvalidInput
from harness.problems.catalogue import case
from harness.spec.cell import Cell
from harness.spec.job import Environment, Job, Speed, check_phase
from harness.spec.optimizers import Adam
from harness.spec.recipe import L2, GlobalNorm, Recipe

PLAIN, WHOLE = Recipe(Adam()), Recipe(Adam(), clip=GlobalNorm(), penalty=L2())
ENVIRONMENT = Environment("3.11", {}, "", "", "", 1, {})


@pytest.mark.parametrize("phase", ["clip", "penalty"])
def test_what_a_recipe_lacks_is_not_timed(phase):
    with pytest.raises(InvalidInput, match=f"speed.phase = '{phase}': the recipe has no {phase}"):
        check_phase(phase, PLAIN)
    digits = case("digits-64-64-64-10")
    cell = Cell(digits.problem, PLAIN, digits.budget, "torch")
    with pytest.raises(InvalidInput, match=f"no {phase}"):
        Job(cell, Speed(phase=phase), ENVIRONMENT)


@pytest.mark.parametrize("phase", ["step", "forward", "gradient", "update"])
def test_every_recipe_has_the_other_phases(phase):
    check_phase(phase, PLAIN)


@pytest.mark.parametrize("phase", ["clip", "penalty"])
def test_what_a_recipe_has_is_timed(phase):
    check_phase(phase, WHOLE)
