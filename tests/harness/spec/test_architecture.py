"""What follows from a model: shapes by hand, errors that name the layer, tensors that no gradient reaches."""

import pytest

from harness.errors import InvalidInput
from harness.spec import base
from harness.spec.activations import Relu, Tanh
from harness.spec.architecture import names, outputs, padding, parameter_shapes, parameters, places, without_gradient
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
    SimpleRNN,
)
from harness.spec.losses import CrossEntropy
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import touched
from harness.spec.toml import to_toml


@pytest.mark.parametrize(
    ("layer", "inputs", "expected"),
    [
        (Dense(3), (5, 4), (5, 3)),
        (Conv2D(7), (8, 9, 2), (6, 7, 7)),
        (Conv2D(7, (3, 3), (2, 2)), (8, 9, 2), (3, 4, 7)),
        (Conv2D(7, (5, 5), (2, 3), "same"), (8, 9, 2), (4, 3, 7)),
        (MaxPool(), (5, 4, 3), (2, 2, 3)),
        (AveragePool((3, 2), (1, 1)), (5, 4, 3), (3, 3, 3)),
        (MaxPool((2, 2), padding="same"), (5, 4, 3), (3, 2, 3)),
        (GlobalAveragePool(), (5, 4, 3), (3,)),
        (Flatten(), (5, 4, 3), (60,)),
        (Reshape((2, 6)), (4, 3), (2, 6)),
        (Embedding(10, 4), (7,), (7, 4)),
        (Embedding(10, 4), (2, 3), (2, 3, 4)),
        (Position(), (7, 4), (7, 4)),
        (SimpleRNN(5), (7, 4), (5,)),
        (LSTM(5, sequences=True), (7, 4), (7, 5)),
        (GRU(5), (1, 1), (5,)),
        (Attention(2), (7, 4), (7, 4)),
        (Attention(3, size=5), (7, 4), (7, 4)),
        (Residual((Dense(9), Dense(4))), (7, 4), (7, 4)),
        (Dropout(), (7, 4), (7, 4)),
        (BatchNorm(), (7, 4), (7, 4)),
        (LayerNorm(), (4,), (4,)),
    ],
    ids=str,
)
def test_output_shapes(layer, inputs, expected):
    assert outputs((layer,), inputs) == expected


@pytest.mark.parametrize(
    ("layer", "inputs", "says"),
    [
        (Conv2D(3), (64,), r"conv2d1 .* needs \(height, width, channels\); its inputs have the shape \(64,\)"),
        (Conv2D(3, (5, 5)), (8, 4, 1), "an image not smaller than its window"),
        (MaxPool((9, 1)), (8, 8, 1), "an image not smaller than its window"),
        (LSTM(3), (8, 8, 1), r"lstm1 .* needs \(time, features\)"),
        (Attention(3), (8, 8), "features that 3 heads can share, or a size"),
        (Reshape((3, 3)), (8,), r"reshape1 .* needs 9 numbers"),
        (GlobalAveragePool(), (8,), "of two axes or more"),
        (Residual((Dense(3),)), (4,), r"residual1 .* needs layers that keep the shape; these make \(3,\)"),
        (Residual((Reshape((2, 2)), LSTM(4))), (5,), r"residual1.reshape1 .* needs 4 numbers"),
    ],
    ids=str,
)
def test_a_layer_that_cannot_take_its_inputs_is_named(layer, inputs, says):
    with pytest.raises(InvalidInput, match=says):
        parameter_shapes((layer,), inputs)


def test_the_place_in_a_file_counts_from_0_and_goes_into_residuals():
    model = (Dense(6), Residual((Dense(6), Residual((Dense(6), MaxPool())))))
    with pytest.raises(InvalidInput) as caught:
        outputs(model, (4, 5))
    where = "residual1.residual1.max_pool1 (problem.model[1].layers[1].layers[1])"
    assert str(caught.value) == f"{where} needs (height, width, channels); its inputs have the shape (4, 6)"


def test_an_empty_residual_is_refused():
    with pytest.raises(InvalidInput, match="at least one layer"):
        Residual(())


@pytest.mark.parametrize(
    ("size", "window", "stride", "expected"),
    [(5, 3, 1, (1, 1)), (5, 2, 1, (0, 1)), (5, 2, 2, (0, 1)), (4, 3, 2, (0, 1)), (7, 4, 3, (1, 2)), (3, 1, 2, (0, 0))],
)
def test_padding_by_hand(size, window, stride, expected):
    assert padding("same", size, window, stride) == expected
    assert padding("valid", size, window, stride) == (0, 0)


MODEL = (
    Dense(6),
    Residual((LayerNorm(), Attention(2), Residual((Dense(6, bias=False),)))),
    Dense(6),
    LSTM(3, sequences=True),
    GRU(2),
)


def test_names_and_parameters_of_nested_layers():
    assert names(MODEL) == ("dense1", "residual1", "dense2", "lstm1", "gru1")
    assert [place.name for place in places(MODEL, (4, 5))] == [
        "dense1",
        "residual1",
        "residual1.layer_norm1",
        "residual1.attention1",
        "residual1.residual1",
        "residual1.residual1.dense1",
        "dense2",
        "lstm1",
        "gru1",
    ]
    shapes = parameter_shapes(MODEL, (4, 5))
    assert shapes["residual1.attention1.query"] == (6, 6)
    assert shapes["residual1.residual1.dense1.weight"] == (6, 6)
    assert (shapes["lstm1.weight"], shapes["lstm1.recurrent"], shapes["lstm1.bias"]) == ((6, 12), (3, 12), (12,))
    assert (shapes["gru1.weight"], shapes["gru1.recurrent_bias"]) == ((3, 6), (6,))


def test_penalties_and_decay_leave_biases_and_normalisation_alone():
    assert [name for name in touched("weights", parameter_shapes(MODEL, (4, 5))) if "dense" not in name] == [
        "residual1.attention1.query",
        "residual1.attention1.key",
        "residual1.attention1.value",
        "residual1.attention1.output",
        "lstm1.weight",
        "lstm1.recurrent",
        "gru1.weight",
        "gru1.recurrent",
    ]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ((Dense(4), BatchNorm(), Dense(4)), {"dense1.bias"}),
        ((Dense(4), Relu(), BatchNorm()), set()),
        (
            (Dense(4), Dense(4), BatchNorm(), Dense(4), BatchNorm()),
            {"dense1.bias", "dense2.bias", "batch_norm1.shift", "dense3.bias"},
        ),
        ((Reshape((2, 2, 1)), Conv2D(2, (1, 1)), MaxPool(), BatchNorm()), {"conv2d1.bias"}),
        ((Reshape((2, 2, 1)), Conv2D(2, (1, 1)), Conv2D(2, padding="same"), BatchNorm()), {"conv2d2.bias"}),
        ((Reshape((2, 2)), Attention(), Flatten(), Dense(1)), {"attention1.key_bias"}),
        # Rows of the softmax sum to 1: the values' bias is a constant of the attention's outputs.
        (
            (Reshape((2, 2)), Attention(), BatchNorm()),
            {f"attention1.{role}_bias" for role in ("key", "value", "output")},
        ),
        ((Reshape((2, 2, 1)), Conv2D(2, (1, 1)), Conv2D(2, (2, 2)), BatchNorm()), {"conv2d1.bias", "conv2d2.bias"}),
        ((Dense(4), Position(), BatchNorm()), {"dense1.bias"}),
        ((Reshape((2, 2)), Dense(2), Reshape((2, 1, 2)), BatchNorm()), {"dense1.bias"}),
        ((Reshape((2, 2)), Dense(2), Reshape((4, 1)), BatchNorm()), set()),
        ((Dense(4), Residual((Dense(4),)), BatchNorm()), {"dense1.bias", "residual1.dense1.bias"}),
        ((Residual((Dense(4),)), BatchNorm()), {"residual1.dense1.bias"}),
        ((Dense(4), Residual((BatchNorm(), Tanh()))), set()),
        ((LayerNorm(), Dense(3), LayerNorm()), set()),
    ],
    ids=str,
)
def test_tensors_whose_exact_gradient_is_zero(model, expected):
    assert without_gradient(model, (4,)) == expected


def test_a_nested_model_survives_its_file():
    network = Network(
        DataSet("digits"), (Reshape((8, 8)), Residual((LayerNorm(0.1), Attention(2))), Dense(10)), CrossEntropy()
    )
    assert base.from_toml(Network, to_toml(network)) == network
    assert base.from_json(Network, base.to_json(network)) == network


MISSPELT = """
[data]
name = "digits"
[loss]
kind = "cross_entropy"
[[model]]
kind = "residual"
[[model.layers]]
kind = "atention"
"""


def test_a_misspelt_word_inside_a_residual_names_the_nearest():
    with pytest.raises(InvalidInput, match="did you mean attention"):
        base.from_toml(Network, MISSPELT)


@pytest.mark.parametrize(("layer", "fans"), [(Embedding(10, 4), (1, 4)), (Position(), (1, 5))], ids=str)
def test_the_fans_that_follow_from_one_active_input_are_those_that_the_docstring_states(layer, fans):
    (parameter,) = parameters((layer,), (7, 5)).values()
    assert parameter.fans == fans
    assert f"fans (1, {'units' if isinstance(layer, Embedding) else 'features'})" in type(layer).__doc__
