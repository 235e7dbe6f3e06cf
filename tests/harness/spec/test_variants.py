"""Variants: every pair of values of the fields that change a formula, and nothing that the formula refuses."""

import itertools

import pytest

from harness.spec.optimizers import OPTIMIZERS, SGD, AdaGrad, Lion, Momentum, RMSProp
from harness.spec.recipe import L2, Decoupled
from harness.spec.variants import variants


def test_by_hand():
    assert variants(Lion) == [Lion()]
    assert variants(SGD) == [SGD()]
    placements, accumulators = ("inside", "outside"), (0.0, 0.1)
    every = [AdaGrad(eps_placement=p, initial_accumulator=a) for p, a in itertools.product(placements, accumulators)]
    assert sorted(variants(AdaGrad), key=str) == sorted(every, key=str)
    assert variants(L2) == [L2(), L2(scaling="per_sample")]
    assert variants(Decoupled) == [Decoupled(), Decoupled(scaled_by="schedule")]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_plain_one_is_first_and_none_comes_twice(kind):
    found = variants(kind)
    assert found[0] == kind()
    assert len(set(found)) == len(found)


def test_pairs_that_make_sense_are_there_and_others_are_not():
    found = variants(Momentum)
    assert any(v.nesterov and v.rate == "inside" for v in found)
    assert any(v.dampening == 0.9 and v.first == "damped" for v in found)
    assert any(v.momentum == 0 and v.dampening for v in found)
    assert not any(v.nesterov and v.dampening for v in found)
    found = variants(RMSProp)
    assert any(v.centred and v.momentum for v in found)
    assert any(v.centred and v.eps_placement == "outside" for v in found)
    assert not any(v.centred and v.bias_correction for v in found)
