"""The worked cases reach their figures in every framework, exact in float64, over three seeds."""

import pytest

from harness.execute.local import Local, Settings
from harness.problems.catalogue import CATALOGUE
from harness.spec.job import Agreement
from harness.store import Store
from harness.studies import STUDIES
from harness.study import Grid, Study, select

# Case → (series, at the end at least, why that figure).
REACHES = {
    "digits-64-10-l2": ("metric/test", 0.94, "as asked of it"),
    "digits-64-64-64-10": ("metric/test", 0.93, "as asked of it"),
    "sigmoid-binary": ("metric/test", 0.94, "as asked of it"),
    "cube-2x2x2": ("metric/test", 0.9, "R²: two smooth functions of 8 bits, two thirds of all inputs seen"),
    "line-fit": ("metric/training", 0.995, "R² of the true line: 1 − 0.05²/var(2x) = 1 − 0.0025·3/4 = 0.998"),
    "regression-10-32-2": (
        "metric/training",
        0.8,
        "R² of pure noise, memorised: 418 parameters for 200 numbers leave little of it after 1000 epochs",
    ),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    with Store.create(tmp_path_factory.mktemp("worked-cases"), {}) as store:
        with Local(store, Settings(), lambda record: None) as local:
            local.run(select(STUDIES["worked-cases"]).jobs)
        return list(store.records())


def test_every_backend_and_seed_ran(records):
    backends = {r.job.cell.backend for r in records}
    assert backends >= {"reference", "numpy"}
    assert {r.status for r in records} == {"ok"}, [r.reason for r in records]
    assert len(records) == len(REACHES) * 3 * len(backends)


@pytest.mark.parametrize("name", REACHES)
def test_the_case_reaches_its_figure(name, records):
    series, least, _ = REACHES[name]
    reached = {
        (r.job.cell.backend, r.job.cell.seed): r.series(series)["value"].iloc[-1]
        for r in records
        if r.job.cell.problem == CATALOGUE[name].problem
    }
    assert min(reached.values()) >= least, reached


def test_line_fit_recovers_its_line(tmp_path):
    """y = 2x + 1, noise 0.05, 100 points: slope and offset within four standard errors, 0.05·√3/10 and 0.05/10."""
    study = Study("line", "", (Grid(Agreement(), ("line-fit",), precisions=("float64",)),))
    with Store.create(tmp_path, {}) as store, Local(store, Settings(), lambda record: None) as local:
        local.run(select(study).jobs)
    for record in Store.open(tmp_path).records():
        assert record.status == "ok", record.reason
        found = record.series("parameter")
        w = dict(zip(found["tensor"].astype(str), found["value"], strict=True))
        slope = w["dense1.weight"] * w["dense2.weight"]
        offset = w["dense1.bias"] * w["dense2.weight"] + w["dense2.bias"]
        assert slope == pytest.approx(2, abs=4 * 0.05 * 3**0.5 / 10)
        assert offset == pytest.approx(1, abs=4 * 0.05 / 10)
