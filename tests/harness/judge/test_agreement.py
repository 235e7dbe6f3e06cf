"""Agreement is judged on made-up records whose distances are worked out by hand."""

import math

import numpy as np
import pytest

from harness.judge import agreement
from harness.measure.series import series, table
from harness.problems.catalogue import CATALOGUE
from harness.spec.cell import Cell
from harness.spec.job import Agreement, Environment, Job
from harness.store import Record

CASE = CATALOGUE["line-fit"]
MOVED = 0.5


def record(backend, weight, status="ok", ulp=False, precision="float64", gradient=None):
    cell = Cell(CASE.problem, CASE.recipe, CASE.budget, backend, precision=precision)
    environment = Environment("3.11", {backend: "1.0"}, "code", "data", "machine", 1, {})
    rows = [series("parameter", np.array(weight), tensor="w"), series("moved", np.array(MOVED), tensor="w")]
    if ulp:
        rows = [series("response", np.array(weight), tensor="w")]
    if gradient is not None:
        rows.append(series("gradient", np.array(gradient), tensor="w"))
    return Record(Job(cell, Agreement(ulp=ulp), environment), status, "a reason", {}, {}, table(rows))


def parameters(*records):
    (verdict,) = [verdict for verdict in agreement.judge(records) if verdict.what == "parameters"]
    return verdict


@pytest.mark.parametrize(
    ("off", "response", "distance", "tolerance"),
    [(1e-12, 0.0, 2e-12, 1e-12), (2e-13, 0.0, 4e-13, 1e-12), (1e-11, 1e-13, 2e-11, 2e-11)],
)
def test_a_distance_is_over_what_the_tensor_moved_and_its_tolerance_the_response_times_a_hundred(
    off, response, distance, tolerance
):
    # 2e-11 = 100 × 1e-13/0.5
    verdict = parameters(
        record("reference", [0.0, 1.0]),
        record("reference", response, ulp=True),
        record("torch", [off, 1.0]),
    )
    assert verdict.distance == pytest.approx(distance, rel=1e-3)
    assert verdict.tolerance == pytest.approx(tolerance, rel=1e-3)
    assert verdict.equal == (distance <= tolerance)
    assert verdict.differs != verdict.equal


def test_single_precision_is_compared_with_the_reference_in_double():
    verdict = parameters(record("reference", [0.0]), record("torch", [4e-5], precision="float32"))
    assert (verdict.distance, verdict.tolerance) == (pytest.approx(8e-5), 1e-4)


def test_gradients_are_measured_by_their_largest_element():
    records = record("reference", [0.0], gradient=[1.0, -4.0]), record("torch", [0.0], gradient=[1.0, -4.0 + 8e-11])
    (verdict,) = [verdict for verdict in agreement.judge(records) if verdict.what == "gradients"]
    assert verdict.distance == pytest.approx(2e-11, rel=1e-3)
    assert verdict.differs


@pytest.mark.parametrize("weight", [[math.nan, 1.0], [math.inf, 1.0]])
def test_one_that_is_not_finite_where_the_reference_is_differs(weight):
    verdict = parameters(record("reference", [0.0, 1.0]), record("torch", weight, "diverged"))
    assert verdict.distance == math.inf
    assert verdict.differs


def test_two_that_diverge_have_nothing_to_compare_and_are_not_called_equal():
    verdict = parameters(record("reference", [math.nan, 1.0], "diverged"), record("torch", [math.inf, 1.0], "diverged"))
    assert not verdict.equal
    assert not verdict.differs
    assert "the reference diverges too" in verdict.reason


def test_a_reference_that_one_ulp_makes_diverge_is_no_yardstick():
    verdict = parameters(
        record("reference", [0.0]), record("reference", math.inf, "diverged", ulp=True), record("torch", [3.0])
    )
    assert not verdict.equal
    assert not verdict.differs
    assert "one ulp" in verdict.reason


@pytest.mark.parametrize(("status", "differs"), [("failed", True), ("timeout", True), ("unsupported", False)])
def test_no_answer_stands_against_a_backend_unless_it_said_that_it_has_none(status, differs):
    verdict = parameters(record("reference", [0.0]), record("torch", [0.0], status))
    assert not verdict.equal
    assert verdict.differs == differs
    assert verdict.reason == f"{status}: a reason"


def test_without_the_reference_nothing_is_compared():
    verdict = parameters(record("torch", [0.0]))
    assert verdict.differs
    assert "no record of the reference" in verdict.reason
