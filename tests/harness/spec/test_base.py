"""Specs: validity, keys, files."""

import msgspec
import pytest

from harness.errors import InvalidInput
from harness.problems.catalogue import CATALOGUE
from harness.spec.activations import LeakyRelu
from harness.spec.base import Spec, canonical, from_json, from_toml, key, to_json
from harness.spec.cell import Budget, Case, Cell
from harness.spec.layers import Dense
from harness.spec.optimizers import SGD, Adam, Momentum, RMSProp
from harness.spec.problem import DataSet, Network, Quadratic
from harness.spec.recipe import L2, ByValue, GlobalNorm, Recipe, touched
from harness.spec.schedules import WarmUp
from harness.spec.toml import to_toml


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_case_survives_json_and_toml(name):
    case = CATALOGUE[name]
    assert from_json(Case, to_json(case)) == case
    assert from_toml(Case, to_toml(case)) == case
    assert key(from_toml(Case, to_toml(case))) == key(case)


INVALID = [
    (lambda: Adam(lr=-1.0), "adam.lr = -1.0"),
    (lambda: Adam(lr=0), "adam.lr = 0"),
    (lambda: Adam(lr="fast"), "Expected `float`, got `str`"),
    (lambda: Adam(lr=float("nan")), "adam.lr = nan"),
    (lambda: SGD(lr=float("inf")), "must be finite"),
    (lambda: Adam(beta1=1.0), "adam.beta1 = 1.0"),
    (lambda: Adam(eps_placement="above"), "unknown adam.eps_placement 'above'. Allowed: outside, hat, inside"),
    (lambda: Adam(eps_placement="insid"), "did you mean 'inside'"),
    (lambda: L2(on="weihgts"), "or 'weights'? Allowed: weights, all, (weihgts)"),
    (lambda: WarmUp(then=WarmUp()), "unknown warm_up.then 'warm_up'. Allowed: constant, step, exponential, cosine"),
    (lambda: Momentum(nesterov=True, dampening=0.5), "look-ahead"),
    (lambda: Momentum(first="damped"), "dampening above 0"),
    (lambda: RMSProp(centred=True, bias_correction=True), "divides by g² − g² = 0"),
    (lambda: ByValue(1.0, -1.0), "lowest 1.0 must be below highest -1.0"),
    (lambda: Dense(0), "dense.units = 0"),
    (lambda: Dense(2.0), "Expected `int`, got `float`"),
    (lambda: LeakyRelu(-0.1), "leaky_relu.slope"),
    (lambda: Budget(), "either steps or epochs"),
    (lambda: Budget(steps=1, epochs=1), "either steps or epochs"),
    (lambda: DataSet("digits", validation=0.5, test=0.5), "leave nothing to train on"),
    (lambda: DataSet("mnist"), "mnist"),
    (lambda: Quadratic(condition=0.5), "quadratic.condition = 0.5"),
    (lambda: GlobalNorm(0.0), "global_norm.c = 0.0"),
    (lambda: Recipe(GlobalNorm()), "recipe.optimizer"),
]


@pytest.mark.parametrize(("make", "says"), INVALID)
def test_invalid_values_are_refused_at_construction(make, says):
    with pytest.raises(InvalidInput, match="(?s).*") as caught:
        make()
    assert says in str(caught.value)


def test_integers_become_floats_so_that_keys_do_not_depend_on_spelling():
    assert key(Adam(lr=1)) == key(Adam(lr=1.0))
    assert isinstance(Adam(lr=1).lr, float)


def test_key_ignores_defaults_so_that_a_new_field_changes_no_old_key():
    class Before(Spec, frozen=True):
        lr: float

    class After(Spec, frozen=True):
        lr: float
        added: int = 3

    assert key(Before(0.1)) == key(After(0.1)) == key(After(0.1, 3))
    assert key(After(0.1, 4)) != key(After(0.1))


def test_key_is_the_documented_hash():
    # sha256 of the canonical JSON, first 16 digits: `printf '{"kind":"sgd","lr":0.5}' | sha256sum`
    assert msgspec.json.encode(canonical(SGD(lr=0.5))) == b'{"kind":"sgd","lr":0.5}'
    assert key(SGD(lr=0.5)) == "8b2ad750045b16dd"


def test_specs_hash_and_are_frozen():
    assert hash(Recipe(Adam(lr=0.01))) == hash(Recipe(Adam(lr=0.01)))
    with pytest.raises(AttributeError):
        Adam().lr = 2.0


def test_misspelt_key_names_the_nearest():
    text = to_toml(CATALOGUE["digits-64-10-l2"]).replace("beta1", "beta_one")
    with pytest.raises(InvalidInput, match=r"unknown field `beta_one` - at `\$.recipe.optimizer` \(did you mean beta"):
        from_toml(Case, text)


def test_scope_names_a_parameter_that_exists():
    parameters = ("dense1.weight", "dense1.bias")
    assert touched("weights", parameters) == ("dense1.weight",)
    assert touched("all", parameters) == parameters
    with pytest.raises(InvalidInput, match="did you mean 'dense1.weight'"):
        touched(L2(on=("dense1.wieght",)).on, parameters)


def test_every_axis_of_a_cell_changes_its_key():
    case = CATALOGUE["digits-64-64-64-10"]
    cell = Cell(case.problem, case.recipe, case.budget, "torch")
    others = {
        "problem": msgspec.structs.replace(case.problem, model=(Dense(10),)),
        "recipe": Recipe(SGD()),
        "budget": Budget(steps=3),
        "backend": "jax",
        "implementation": "shipped",
        "device": "cuda",
        "precision": "float64",
        "mode": "eager",
        "seed": 1,
    }
    assert set(others) == set(cell.__struct_fields__)
    keys = {key(msgspec.structs.replace(cell, **{name: value})) for name, value in others.items()}
    assert len(keys | {key(cell)}) == len(others) + 1
    assert isinstance(case.problem, Network)
