"""What ``show`` prints: every field, those left out in comments that can be used as they stand, and the same again."""

import msgspec
import pytest

from harness.errors import InvalidInput
from harness.problems.catalogue import CATALOGUE
from harness.spec.activations import Relu
from harness.spec.base import Spec, _specs, fields, from_toml, metas
from harness.spec.cell import Budget, Case
from harness.spec.layers import Attention, Dropout, MaxPool, Residual
from harness.spec.toml import to_toml
from harness.studies import STUDIES
from harness.study import Study

SHOWN = {**{name: (Case, case) for name, case in CATALOGUE.items()}, **{n: (Study, s) for n, s in STUDIES.items()}}
OPTIONAL = [
    (kind, field)
    for kind in sorted(_specs(Case) | _specs(Study), key=str)
    for field in fields(kind)
    if not field.required and field.default is None
]


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_is_read_as_the_same_and_comments_on_every_field_left_out(name):
    kind, spec = SHOWN[name]
    text = to_toml(spec)
    assert from_toml(kind, text) == spec
    assert text.count("left out: ") == left_out(spec)


def left_out(value):
    """How many fields are None, at any depth."""
    if isinstance(value, tuple):
        return sum(left_out(item) for item in value)
    if not isinstance(value, Spec):
        return value is None
    return sum(left_out(getattr(value, name)) for name in value.__struct_fields__)


@pytest.mark.parametrize(("kind", "field"), OPTIONAL, ids=lambda it: getattr(it, "name", getattr(it, "__name__", "")))
def test_a_field_that_may_be_left_out_says_what_that_means_with_a_valid_example(kind, field):
    (meta,) = (meta for meta in metas(field.type) if meta.description)
    assert msgspec.convert(meta.extra["example"], field.type) is not None


def test_a_comment_on_a_line_of_its_own_is_a_field_when_its_sign_is_taken_away():
    text = to_toml(CATALOGUE["digits-cnn"])
    changed = from_toml(Case, text.replace("# strides =", "strides =").replace("# training =", "training ="))
    assert {layer.strides for layer in changed.problem.model if isinstance(layer, MaxPool)} == {(1, 1)}
    assert changed.problem.data.training == 500
    with pytest.raises(InvalidInput, match="either steps or epochs"):
        from_toml(Case, text.replace("# steps =", "steps ="))


def test_a_layer_in_a_line_of_its_own_has_its_comment_behind_it():
    residual = Residual((Relu(), Attention(2), Dropout()))
    text = to_toml(residual)
    assert "causal = false },  # size = 16 (left out: the number of features over that of heads)\n" in text
    assert text.count("#") == 1
    assert from_toml(Residual, text) == residual


def test_the_comment_of_a_budget():
    assert to_toml(Budget(epochs=3)).startswith("# steps = 1000  # left out: epochs are given\nepochs = 3\n")
