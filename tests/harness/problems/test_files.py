"""A user's own data: what is read, and what each slip is told."""

import json
import subprocess
import sys

import numpy as np
import pytest
from msgspec.structs import replace

from harness.errors import InvalidInput
from harness.problems import files, task
from harness.problems.catalogue import CATALOGUE
from harness.problems.data import load
from harness.spec.cell import Budget, Case
from harness.spec.job import Convergence
from harness.spec.layers import Conv2D, Dense, Flatten, Reshape
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import L2, Recipe
from harness.spec.toml import to_toml
from harness.study import Grid, cells, find_case

PENALTY = L2(on=("dense4.weight",))
PLAIN = "a,b,y\n1,2,0\n3,4.5,1\n-1e-3,6,2\n"


def written(tmp_path, text, name="own.csv"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_the_last_column_is_the_target_unless_others_are_named(tmp_path):
    path = written(tmp_path, PLAIN)
    x, y = files.read(DataSet(path))
    assert x.tolist() == [[1, 2], [3, 4.5], [-0.001, 6]]
    assert y.tolist() == [[0], [1], [2]]
    x, y = files.read(DataSet(path, inputs=("y",), targets=("b", "a")))
    assert x.tolist() == [[0], [1], [2]]
    assert y.tolist() == [[2, 1], [4.5, 3], [6, -0.001]]


def test_words_are_classes_in_sorted_order(tmp_path):
    x, y = files.read(DataSet(written(tmp_path, "a,kind\n1,wolf\n2,cat\n3, wolf\n4,dog\n")))
    assert (y.dtype, y.tolist()) == (np.int64, [2, 0, 2, 1])
    assert x.shape == (4, 1)


def test_an_archive_has_x_and_y_unless_others_are_named(tmp_path):
    x, y = np.arange(24.0).reshape(4, 3, 2), np.array([0, 1, 1, 0])
    np.savez(tmp_path / "own.npz", x=x, y=y, more=x[:, 0])
    found = files.read(DataSet(str(tmp_path / "own.npz")))
    np.testing.assert_array_equal(found[0], x)
    assert found[1].tolist() == [[0], [1], [1], [0]]
    found = files.read(DataSet(str(tmp_path / "own.npz"), targets=("more",)))
    assert found[1].shape == (4, 2)


SLIPS = [
    ("a,b\n1,2\n3,n/a\n", {}, "line 3, column b: 'n/a' is not a finite number"),
    ("a,b\n1,2\n,4\n", {}, "line 3, column a: the value is missing"),
    ("a,b\n1,2\n\n3,4\n", {}, "line 3, column a: the value is missing"),
    ("a,b\n1,inf\n3,4\n", {}, "line 2, column b: 'inf' is not a finite number"),
    ("a,b\n1,x\n2,\n", {}, "line 2, column b"),
    ("a,b\n1,2\n3,4,5,6\n", {}, "line 3"),
    ("a;b\n1;2\n3;4\n", {}, "one column is not enough"),
    ("", {}, "no CSV table"),
    ("a,b\n1,2\n", {}, "1 samples are too few"),
    (PLAIN, {"targets": ("z",)}, "unknown column"),
    (PLAIN, {"inputs": ("a", "y"), "targets": ("y",)}, "y is both an input and a target"),
]


@pytest.mark.parametrize(("text", "fields", "says"), SLIPS)
def test_slips_in_a_table_say_where(tmp_path, text, fields, says):
    with pytest.raises(InvalidInput) as caught:
        files.read(DataSet(written(tmp_path, text), **fields))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


ARRAYS = [
    ({"x": np.zeros((3, 2))}, "unknown array"),
    ({"x": np.zeros((3, 2)), "y": np.zeros(4)}, "inputs (3, 2) and targets (4, 1)"),
    ({"x": np.zeros(3), "y": np.zeros(3)}, "(n, …) and (n,) or (n, k) are needed"),
    ({"x": np.array([[1.0], [np.nan]]), "y": np.zeros(2)}, "array x, element (1, 0) is not finite"),
    ({"x": np.zeros((2, 2)), "y": np.array(["a", "b"])}, "array y holds <U1, not numbers"),
    ({"x": np.array([[{}], [{}]]), "y": np.zeros(2)}, "no archive of plain arrays"),
]


@pytest.mark.parametrize(("arrays", "says"), ARRAYS)
def test_slips_in_an_archive_say_where(tmp_path, arrays, says):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(InvalidInput) as caught:
        files.read(DataSet(str(tmp_path / "own.npz")))
    assert says.replace("targets (4, 1)", "targets (4,)") in str(caught.value) or says in str(caught.value)


@pytest.mark.parametrize(("name", "says"), [("absent.csv", "there is no such file"), ("own.npz", "no archive")])
def test_what_is_no_file_or_no_archive(tmp_path, name, says):
    written(tmp_path, "not a zip", "own.npz")
    with pytest.raises(InvalidInput, match=says):
        load(DataSet(str(tmp_path / name)))


def test_names_are_refused_with_the_nearest():
    with pytest.raises(InvalidInput, match="did you mean 'digits'"):
        DataSet("digit")
    with pytest.raises(InvalidInput, match="in a file of one's own only"):
        DataSet("digits", targets=("y",))


LABELS = "a,y\n" + "".join(f"{i},{i % 3}\n" for i in range(20))
TWO = "a,y\n" + "".join(f"{i},{'yes' if i > 9 else 'no'}\n" for i in range(20))


@pytest.mark.parametrize(
    ("text", "units", "loss", "kind", "shape"),
    [
        (LABELS, 3, CrossEntropy(), np.int64, (13,)),
        (LABELS, 1, MeanSquaredError(), np.float64, (13, 1)),
        (TWO, 2, CrossEntropy(), np.int64, (13,)),
        (TWO, 1, BinaryCrossEntropy(), np.float64, (13, 1)),
    ],
)
def test_targets_are_what_the_loss_takes(tmp_path, text, units, loss, kind, shape):
    made = task.make(Network(DataSet(written(tmp_path, text)), (Dense(units),), loss))
    assert (made.parts["training"].y.dtype, made.parts["training"].y.shape) == (kind, shape)


@pytest.mark.parametrize(
    ("text", "units", "loss", "says"),
    [
        (LABELS, 2, CrossEntropy(), "labels from 0 to 2, outputs (2,)"),
        (LABELS.replace(",0\n", ",-1\n"), 3, CrossEntropy(), "labels from -1"),
        (LABELS.replace(",0\n", ",0.5\n"), 3, CrossEntropy(), "no labels"),
        (LABELS, 1, BinaryCrossEntropy(), "targets 0 or 1"),
        (TWO, 1, MeanSquaredError(), "these are class labels: use cross_entropy"),
    ],
)
def test_targets_that_the_loss_cannot_take(tmp_path, text, units, loss, says):
    with pytest.raises(InvalidInput) as caught:
        task.make(Network(DataSet(written(tmp_path, text)), (Dense(units),), loss))
    assert says in str(caught.value)


def test_a_slip_in_a_case_of_ones_own_names_its_file_and_the_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = CATALOGUE["digits-cnn"]
    slips = {
        (
            Reshape((8, 8, 1)),
            Conv2D(3, (9, 9)),
            Flatten(),
            Dense(10),
        ): "in mine.toml: conv2d1 (problem.model[1]) needs an",
        (Reshape((8, 8, 1)), Conv2D(3), Dense(10)): "in mine.toml: cross_entropy needs labels",
        (Dense(10), Dense(10), Dense(10)): "in mine.toml: unknown parameter 'dense4.weight'",
    }
    for model, says in slips.items():
        own = replace(case, problem=replace(case.problem, model=model), recipe=Recipe(SGD(), penalty=PENALTY))
        written(tmp_path, to_toml(own), "mine.toml")
        with pytest.raises(InvalidInput) as caught:
            cells(Grid(Convergence(), ("mine.toml",)))
        assert says in str(caught.value)
    with pytest.raises(InvalidInput, match="in rosenbrock: budget.batch = 32: the problem has only 1 training"):
        cells(Grid(Convergence(), ("rosenbrock",), batch=32))


@pytest.fixture
def own(tmp_path):
    """A case in TOML beside its data: two classes that a line parts."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2))
    rows = "".join(f"{a},{b},{'above' if a + b > 0 else 'below'}\n" for a, b in x)
    written(tmp_path, "a,b,side\n" + rows, "points.csv")
    problem = Network(DataSet("points.csv"), (Dense(2),), CrossEntropy())
    case = Case("points", "two classes", problem, Recipe(SGD(lr=0.5)), Budget(epochs=20, batch=10))
    (tmp_path / "points.toml").write_text(to_toml(case))
    return tmp_path / "points.toml"


def test_a_file_is_found_from_the_folder_of_its_case(own):
    case = find_case(str(own))
    assert case.problem.data.name == str(own.parent / "points.csv")
    assert task.make(case.problem).samples == 130


def test_every_verb_takes_a_users_own_problem(own, tmp_path):
    """As a user does: from another folder, in two backends, one of which is the reference."""
    command = [sys.executable, "-m", "harness.cli", "run", "worked-cases", "--problem", str(own), "--seeds", "1"]
    done = subprocess.run(
        [*command, "--backend", "reference,numpy", "--out", str(tmp_path / "run")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "run" / "report.md").read_text()
    assert "points" in page
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "points.toml" in json.dumps(described)
