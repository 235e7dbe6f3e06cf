"""Spellings and selectors: names to pieces and back."""

import pytest

from harness import selectors
from harness.errors import InvalidInput
from harness.spec import spellings
from harness.spec.optimizers import Adam, Momentum
from harness.spec.recipe import L2, Decoupled, GlobalNorm, NoClip, NoDecay, Recipe
from harness.spec.schedules import Cosine, WarmUp
from harness.studies import VARIANTS


@pytest.mark.parametrize("name", spellings.SPELLINGS)
def test_a_spelling_is_recognised_again(name):
    optimizer, decay = spellings.optimizer(name)
    assert spellings.optimizer_name(Recipe(optimizer, decay=decay)) == name


def test_spellings_canonicalise():
    assert spellings.optimizer("adamw", lr=0.1) == (Adam(lr=0.1), Decoupled(0.01))
    assert spellings.optimizer("averaged_momentum") == (Momentum(dampening=0.9, first="damped"), NoDecay())
    assert spellings.optimizer("amsgrad") == (Adam(amsgrad="raw"), NoDecay())


def test_short_text_of_every_variant_is_read_back():
    for optimizer, _ in selectors.optimizers(VARIANTS):
        assert selectors.optimizers([spellings.short(optimizer)]) == [(optimizer, NoDecay())]


def test_grids_multiply_out():
    found = selectors.optimizers(["adam[lr=[1e-3,1e-2],eps=[1e-8,1e-7]],sgd"])
    assert [(o.lr, getattr(o, "eps", None)) for o, _ in found] == [
        (1e-3, 1e-8), (1e-3, 1e-7), (1e-2, 1e-8), (1e-2, 1e-7), (0.01, None),
    ]  # fmt: skip


def test_positions_nesting_and_tuples():
    assert selectors.clips(["none,global_norm[0.5]"]) == [NoClip(), GlobalNorm(0.5)]
    assert selectors.schedules(["warm_up[steps=10,then=cosine[floor=0.1]]"]) == [WarmUp(10, then=Cosine(floor=0.1))]
    assert selectors.penalties(["l2[0.01,on=(dense1.weight dense2.weight)]"]) == [
        L2(0.01, on=("dense1.weight", "dense2.weight"))
    ]


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (selectors.optimizers, "adm", "did you mean 'adam' or"),
        (selectors.optimizers, "adam[rate=1]", "unknown field of optimizer adam 'rate'"),
        (selectors.optimizers, "adam[lr=-1]", "adam.lr = -1"),
        (selectors.optimizers, "adam[lr=fast]", "adam.lr = 'fast'"),
        (selectors.optimizers, "adam[lr=1", "expected , or ]"),
        (selectors.optimizers, "adam[lr=1]]", "unexpected ']'"),
        (selectors.optimizers, "", "expected a name"),
        (selectors.optimizers, "adam[0.1,lr=0.2]", "given twice"),
        (selectors.clips, "globalnorm", "did you mean 'global_norm'"),
        (selectors.clips, "none[1]", "none takes 0 fields"),
        (selectors.schedules, "warm_up[then=adam]", "unknown schedule 'adam'"),
    ],
)
def test_what_cannot_be_read_says_why(parse, text, says):
    with pytest.raises(InvalidInput) as caught:
        parse([text])
    assert says in str(caught.value)
