"""Each remedy on a small spec: what it changes, that it changes nothing else, where it does not apply."""

import math

import pytest
from msgspec.structs import replace

from harness.findings.diagnose import diagnose
from harness.findings.finding import KINDS, Finding
from harness.findings.rebuilt import normalised, renamed, residual
from harness.findings.remedies import HELPS, REMEDIES, Ill, fitting, treated
from harness.findings.seen import Seen
from harness.problems import task as tasks
from harness.spec.activations import Elu, LeakyRelu, Relu, Selu, Sigmoid, Tanh
from harness.spec.cell import Budget, Cell
from harness.spec.fault import Put, Rate, Scale, Shift, Tie
from harness.spec.initialisations import Orthogonal, Scaled, SmallNormal, Zeros
from harness.spec.layers import LSTM, BatchNorm, Dense, Embedding, LayerNorm, Residual, SimpleRNN
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.problem import DataSet, Network, Rosenbrock
from harness.spec.recipe import L1, L1L2, L2, Decoupled, GlobalNorm, NoClip, NoDecay, NoPenalty, Recipe
from harness.spec.schedules import Constant, Cosine, Step
from harness.spec.stopping import EarlyStopping

HE, GLOROT = Scaled("he", "normal"), Scaled("glorot", "uniform")
NET = Network(DataSet("digits"), (Dense(8), Sigmoid(), Dense(8), Sigmoid(), Dense(10)), CrossEntropy(), GLOROT)
RNN = Network(
    DataSet("temporal_order", scaling="none"), (Embedding(8, 8), SimpleRNN(6, "relu"), Dense(4)), CrossEntropy()
)
GOOD = Recipe(SGD(0.1))


def ill(problem=NET, recipe=GOOD, faults=(), step=0, kind="vanishing", precision="float32", **more):
    """A run with a finding."""
    cell = Cell(problem, recipe, Budget(steps=200, batch=more.pop("batch", 32)), "numpy", precision=precision)
    finding = Finding(kind, "warning", "", step, "", (), 1.0)
    task = tasks.make(problem)
    numbers = {"steps": 200, "norm": 0.523, "moved": 15.0, "near": 12, "scheduled": 1.0} | more
    return Ill(cell, faults, finding, task.inputs, task.samples, **numbers)


def after(name, case):
    """What of the run is not as it was: problem, recipe, budget, precision, faults."""
    found = REMEDIES[name](case)
    if found is None:
        return None
    old, new = case.cell, found.cell
    pieces = {
        "model": (getattr(old.problem, "model", None), getattr(new.problem, "model", None)),
        "initialisation": tuple(getattr(c.problem, "initialisation", None) for c in (old, new)),
        "recurrent": tuple(getattr(c.problem, "recurrent_initialisation", None) for c in (old, new)),
        "data": tuple(getattr(c.problem, "data", None) for c in (old, new)),
        "faults": (case.faults, found.faults),
        "precision": (old.precision, new.precision),
        "batch": (old.budget.batch, new.budget.batch),
        "stop": (old.budget.stop, new.budget.stop),
        **{piece: (getattr(old.recipe, piece), getattr(new.recipe, piece)) for piece in Recipe.__struct_fields__},
    }
    return {name: new for name, (old, new) in pieces.items() if new != old}


SMALL = replace(NET, initialisation=SmallNormal(0.001))
OF_START, LATE = Scale(0, "dense2.weight", 100.0), Scale(60, "dense2.weight", 0.01)
TABLE = [
    ("initialisation", ill(SMALL), {"initialisation": GLOROT}),
    ("initialisation", ill(replace(NET, initialisation=Zeros()), kind="identical_units"), {"initialisation": GLOROT}),
    ("initialisation", ill(), None),  # as theory has it already
    ("initialisation", ill(faults=(OF_START, LATE)), {"faults": (LATE,)}),
    ("initialisation", ill(SMALL, step=100), None),  # what begins late is not of the start
    ("initialisation", ill(replace(RNN, recurrent_initialisation=SmallNormal(0.05))), {"recurrent": Orthogonal()}),
    ("initialisation", ill(Rosenbrock()), None),
    ("restore", ill(faults=(LATE, OF_START), step=64), {"faults": (OF_START,)}),
    ("restore", ill(faults=(LATE,), step=120), None),  # too late: what changed the weights is in them
    ("restore", ill(faults=(OF_START, Rate(64, 9.0)), step=64), None),
    ("restore", ill(faults=(Put(60, "dense1.weight", "nan"), Tie(62, "dense2.weight")), step=60), {"faults": ()}),
    ("rate_restored", ill(faults=(Rate(64, 9.0), LATE), step=64), {"faults": (LATE,)}),
    ("rate_restored", ill(faults=(LATE,), step=64), None),
    ("rate_over_10", ill(), {"optimizer": SGD(0.01)}),
    ("rate_times_1000", ill(recipe=Recipe(Momentum(0.003))), {"optimizer": Momentum(3.0)}),
    ("rate_over_10", ill(faults=(Rate(64, 9.0),), step=64), None),  # set back, not made smaller from the start
    ("rate_by_length", ill(), {"optimizer": SGD(0.01)}),  # 15 lengths, of 1.5
    ("rate_by_length", ill(moved=math.nan), None),
    ("no_schedule", ill(recipe=replace(GOOD, schedule=Step(2)), scheduled=0.1), {"schedule": Constant()}),
    ("no_schedule", ill(recipe=replace(GOOD, schedule=Cosine()), scheduled=0.5), None),
    ("rate_default", ill(), {"optimizer": SGD(0.01)}),
    ("rate_default", ill(recipe=Recipe(Adam(0.001))), None),
    ("adam", ill(), {"optimizer": Adam(0.001)}),
    ("activation", ill(), {"model": (Dense(8), Tanh(), Dense(8), Tanh(), Dense(10))}),
    (
        "activation",
        ill(replace(NET, model=(Dense(9), Relu(), Dense(10)))),
        {"model": (Dense(9), LeakyRelu(0.1), Dense(10))},
    ),
    ("activation", ill(replace(NET, model=(Dense(9), Elu(), Dense(10)))), None),
    ("relu", ill(), {"model": (Dense(8), Relu(), Dense(8), Relu(), Dense(10)), "initialisation": HE}),
    (
        "normalisation",
        ill(),
        {"model": (Dense(8), LayerNorm(), Sigmoid(), Dense(8), LayerNorm(), Sigmoid(), Dense(10))},
    ),
    (
        "residual",
        ill(faults=(LATE,)),
        {
            "model": (Dense(8), Sigmoid(), Residual((Dense(8), Sigmoid())), Dense(10)),
            "faults": (Scale(60, "residual1.dense1.weight", 0.01),),  # it goes with its layer
        },
    ),
    ("residual", ill(replace(NET, model=(Dense(8), Tanh(), Dense(9), Tanh(), Dense(10)))), None),
    (
        "gates",
        ill(RNN, faults=(Scale(60, "rnn1.recurrent", 0.01),)),
        {"model": (Embedding(8, 8), LSTM(6), Dense(4)), "faults": (Scale(60, "lstm1.recurrent", 0.01),)},
    ),
    ("gates", ill(), None),
    ("clip", ill(), {"clip": GlobalNorm(0.52)}),
    ("clip", ill(norm=math.nan), None),
    ("clip", ill(recipe=replace(GOOD, clip=GlobalNorm(2.0))), None),
    ("no_clip", ill(recipe=replace(GOOD, clip=GlobalNorm(2.0))), {"clip": NoClip()}),
    ("no_clip", ill(), None),
    (
        "no_penalty",
        ill(recipe=replace(GOOD, penalty=L2(0.1), decay=Decoupled(0.1))),
        {"penalty": NoPenalty(), "decay": NoDecay()},
    ),
    ("no_penalty", ill(), None),
    ("less_penalty", ill(recipe=replace(GOOD, penalty=L1(0.1))), {"penalty": L1(0.001)}),
    ("less_penalty", ill(recipe=replace(GOOD, penalty=L1L2(0.1, 0.2))), {"penalty": L1L2(0.001, 0.002)}),
    ("less_penalty", ill(), None),
    ("penalty", ill(), {"penalty": L2(0.001)}),
    ("penalty", ill(recipe=replace(GOOD, penalty=L1(0.1))), None),
    ("precision", ill(), {"precision": "float64"}),
    ("precision", ill(precision="float64"), None),
    ("early_stopping", ill(), {"stop": EarlyStopping(patience=5, every=4)}),
    ("more_data", ill(replace(NET, data=DataSet("digits", training=50))), {"data": DataSet("digits")}),
    ("more_data", ill(), None),
    ("batch", ill(), {"batch": 128}),
    ("batch", ill(batch=512), None),  # of 1168 samples
]


@pytest.mark.parametrize(("name", "case", "expected"), TABLE)
def test_a_remedy_changes_what_it_names_and_nothing_else(name, case, expected):
    assert after(name, case) == expected


def test_the_table_has_every_remedy_of_which_one_rate_stands_for_the_others():
    others = {name for name in REMEDIES if name.startswith(("rate_over_", "rate_times_"))}
    assert {name for name, *_ in TABLE} >= REMEDIES.keys() - others


def test_every_kind_has_remedies_that_exist():
    assert set(HELPS) == set(KINDS)
    assert {name for names in HELPS.values() for name in names} == set(REMEDIES)


@pytest.mark.parametrize(
    ("activations", "scheme"),
    [((Relu(), Relu(), Tanh()), "he"), ((Selu(),), "lecun"), ((Tanh(), Relu(), Tanh()), "glorot"), ((), "glorot")],
)
def test_the_most_frequent_activation_decides_how_weights_start(activations, scheme):
    inside = tuple(layer for activation in activations for layer in (Dense(8), activation))
    assert fitting((Residual(inside), Dense(8)) if inside else (Dense(8),)).scheme == scheme


def test_what_is_normalised_or_a_residual_already_stays():
    model = (Dense(8), BatchNorm(), Relu(), Dense(8), BatchNorm(), Relu(), Dense(8))
    assert normalised(model) == model
    assert residual(model, (8,)) == (
        Residual((Dense(8), BatchNorm(), Relu())),
        Residual((Dense(8), BatchNorm(), Relu())),
        Dense(8),  # without an activation behind it
    )
    again = (Residual((Dense(8), Relu())),)
    assert residual(again, (8,)) == again
    assert normalised(again) == (Residual((Dense(8), LayerNorm(), Relu())),)


def test_parameters_keep_their_layer_under_its_new_name():
    model = (Dense(8), Relu(), Dense(8), Relu(), Dense(3))
    names = renamed(model, residual(model, (5,)), (5,))
    assert names["dense1.weight"] == "dense1.weight"
    assert names["dense2.bias"] == "residual1.dense1.bias"
    assert names["dense3.weight"] == "dense2.weight"


def test_a_diagnosis_names_what_applies_and_the_remedy_cures(observe):
    """One run through: copies of units from a start at zero, drawn anew."""
    problem = replace(NET, model=(Dense(16), Relu(), Dense(16), Relu(), Dense(10)), initialisation=Zeros())
    record = observe(problem, Recipe(SGD(0.1)))
    first = diagnose(record).findings[0]
    assert first.remedies == ("initialisation",)
    found = treated(Seen(record), first, "initialisation")
    assert found.cell.problem.initialisation == HE
    assert diagnose(observe(found.cell.problem, found.cell.recipe)).healthy


def test_what_was_shifted_on_the_way_is_restored(observe):
    problem = replace(NET, model=(Dense(32), Relu(), Dense(32), Relu(), Dense(10)), initialisation=HE)
    faults = (Shift(101, "dense2.bias", -30.0),)
    first = diagnose(record := observe(problem, GOOD, faults=faults)).findings[0]
    assert first.remedies[0] == "restore"
    assert treated(Seen(record), first, "restore").faults == ()
