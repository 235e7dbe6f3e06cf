"""What ``list`` prints: whole formulas, every field, every word that a field may be."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest

from harness import listing
from harness.spec import spellings
from harness.spec.activations import ACTIVATIONS
from harness.spec.allowed import allowed
from harness.spec.base import Count, Fraction, fields
from harness.spec.initialisations import INITIALISATIONS
from harness.spec.layers import LAYERS, Layer, Pair
from harness.spec.losses import LOSSES, metric
from harness.spec.recipe import CLIPS, DECAYS, PENALTIES
from harness.spec.schedules import SCHEDULES
from harness.spec.stopping import STOPPINGS

KINDS = {
    "layers": LAYERS[: -len(ACTIVATIONS)],
    "activations": ACTIVATIONS,
    "losses": LOSSES,
    "clips": CLIPS,
    "penalties": PENALTIES,
    "decays": DECAYS,
    "schedules": SCHEDULES,
    "stopping": STOPPINGS,
    "initialisations": INITIALISATIONS,
}


def row(kind: str, name: str) -> dict[str, str]:
    return next(row for row in listing.rows(kind) if row["name"] == name)


def test_a_gru_shows_both_of_its_resets():
    gru = row("layers", "gru")
    assert gru["fields"].splitlines() == [
        "units (whole number ≥ 1)",
        "sequences=false (true, false)",
        "reset=after (after, before)",
    ]
    assert "`reset` before: n = tanh(xW + (rh)U + b)" in gru["formula"]
    assert "after: n = tanh(xW + b + r(hU + b'))" in gru["formula"]


def words(annotation: Any) -> set[str]:
    if isinstance(annotation, str):
        return {annotation}
    return set().union(*map(words, get_args(annotation)))


@pytest.mark.parametrize(("kind", "piece"), [(kind, piece) for kind in KINDS for piece in KINDS[kind]], ids=str)
def test_every_field_and_every_word_that_it_may_be_is_shown(kind, piece):
    shown = row(kind, piece.spelling())
    lines = shown["fields"].splitlines()
    assert [re.match(r"\w+", line)[0] for line in lines] == list(piece.__struct_fields__)
    for field, line in zip(fields(piece), lines, strict=True):
        assert words(field.type) <= set(re.findall(r"\w+", line))
        assert ("left out: " in line) == (field.default is None)
    whole = " ".join((piece.__doc__ or "").replace("``", "`").split())
    assert " ".join(shown["formula"].split()) == whole


@pytest.mark.parametrize("name", spellings.SPELLINGS)
def test_an_optimizers_fields_have_the_defaults_that_it_is_made_with(name):
    lines = row("optimizers", name)["fields"].splitlines()
    given = dict(re.fullmatch(r"(\w+)=(.+?) \(.*\)", line).groups() for line in lines)
    assert tuple(given) == spellings.fields_of(name)
    made = {field: json.loads(text) if re.match(r"[-0-9[]|true|false", text) else text for field, text in given.items()}
    assert spellings.optimizer(name, **made) == spellings.optimizer(name)


def test_spellings_show_the_formula_of_what_they_stand_for():
    assert "Δ = η(g + μv)" in row("optimizers", "nesterov")["formula"]
    assert "m ← β₁m + (1 − β₁)g" in row("optimizers", "adamw")["formula"]


def test_every_metric_has_a_formula_and_its_losses():
    found = {row["name"]: row for row in listing.rows("metrics")}
    assert set(found) == {metric(loss()) for loss in LOSSES}
    assert "1 − Σ(y − ŷ)²/Σ(y − ȳ)²" in found["R²"]["formula"]
    assert found["accuracy"]["of"].splitlines() == ["cross_entropy", "binary_cross_entropy"]


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (bool, "true, false"),
        (Fraction, "number ≥ 0 and < 1"),
        (Pair, "2 whole numbers ≥ 1"),
        (tuple[Count, ...], "list of whole numbers ≥ 1"),
        (tuple[Layer, ...], "list of layers"),
        (Count | Literal["full"] | None, "whole number ≥ 1 or full"),
        (Literal["weights", "all"] | tuple[str, ...], "weights, all or list of words"),
        (Annotated[Count | None, "anything"], "whole number ≥ 1"),
    ],
    ids=str,
)
def test_types_in_words(annotation, says):
    assert allowed(annotation) == says


def test_the_readme_names_every_kind():
    text = (Path(__file__).parents[2] / "README.md").read_text()
    told = text[text.index("gradgauge list layers") : text.index("gradgauge doctor ")].replace("#", " ")
    assert set(re.findall(r"\w+", told)) - {"gradgauge", "list", "or"} == set(listing.KINDS)
