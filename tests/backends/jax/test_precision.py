"""``exact`` asks for all of float32 in every product: by default a GPU rounds the factors to TF32.

Seen in what is traced, which is the same on every device, so that no GPU is needed to see it.
"""

import jax
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

from harness.problems import catalogue
from harness.problems import task as tasks
from harness.spec.cell import Budget, Cell
from harness.spec.optimizers import OPTIMIZERS, Adam
from harness.spec.problem import Network
from harness.spec.recipe import CLIPS, L1L2, Recipe
from harness.spec.spellings import short
from harness.spec.variants import variants

PRODUCTS = {"dot_general", "conv_general_dilated"}
HIGHEST = (jax.lax.Precision.HIGHEST,) * 2
CASES = ("digits-64-10-l2", "digits-cnn", "digits-rows-lstm", "digits-rows-gru", "digits-transformer", "rnn-long")
FUNCTIONS = [name for name, case in catalogue.CATALOGUE.items() if not isinstance(case.problem, Network)]


def inside(value):
    """The programs that a primitive is given."""
    if isinstance(value, ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, Jaxpr):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from inside(one)


def products(program):
    """Every product of a program, and of the programs in it."""
    for equation in program.eqns:
        if equation.primitive.name in PRODUCTS:
            yield equation
        for value in equation.params.values():
            for inner in inside(value):
                yield from products(inner)


def traced(backend, problem, recipe, implementation="exact", batch=16):
    """The products of a training step, with its gradient, of the gradient alone, and of an evaluation."""
    cell = Cell(problem, recipe, Budget(steps=2, batch=batch), "jax", implementation)
    task = tasks.make(problem)
    trainer = backend.trainer(cell, task, tasks.initial(task, 0), 2, True)
    order = tasks.order(task.samples, cell.budget, 0)
    x, y = trainer.parts["training"]
    masks = trainer._masks(0, order.shape[1]) if trainer.masked else None
    step = jax.make_jaxpr(trainer._step)(jax.tree.leaves(trainer.state), x, y, order, masks)
    state, evaluated = trainer.state, trainer.objective._evaluation
    evaluation = jax.make_jaxpr(evaluated)(state.parameters, state.running, x, y)
    return [*products(step.jaxpr), *products(evaluation.jaxpr)]


@pytest.mark.parametrize("name_of_case", CASES)
def test_every_product_of_a_network(backend, name_of_case):
    problem = catalogue.case(name_of_case).problem
    found = traced(backend, problem, Recipe(Adam(), penalty=L1L2(0.1, 0.1)))
    assert found
    assert {one.params["precision"] for one in found} == {HIGHEST}
    shipped = traced(backend, problem, Recipe(Adam()), "shipped")
    assert None in {one.params["precision"] for one in shipped}  # which is the framework's own choice


@pytest.mark.parametrize("name_of_case", FUNCTIONS)
def test_every_product_of_a_function(backend, name_of_case):
    case = catalogue.case(name_of_case)
    found = traced(backend, case.problem, Recipe(Adam()), batch="full" if case.budget.batch == "full" else 1)
    assert {one.params["precision"] for one in found} <= {HIGHEST}


RECIPES = [Recipe(variant) for kind in OPTIMIZERS for variant in variants(kind)]
RECIPES += [Recipe(Adam(), variant) for kind in CLIPS for variant in variants(kind)]


@pytest.mark.parametrize("recipe", RECIPES, ids=short)
def test_every_product_of_an_update(backend, recipe):
    found = traced(backend, catalogue.case("digits-64-10-l2").problem, recipe)
    assert {one.params["precision"] for one in found} == {HIGHEST}
    assert all(np.issubdtype(one.outvars[0].aval.dtype, np.floating) for one in found)
