"""The section on health: of hand-made records and diagnoses, and of a small real run."""

import io
import math
import re

import numpy as np
import pandas as pd
import pytest

from harness.findings.finding import KINDS, Evidence, Finding
from harness.findings.seen import Seen
from harness.health.gains import expected
from harness.measure.series import series, table
from harness.observation import SIGNAL, Layout
from harness.problems import task as tasks
from harness.report import health_maps, health_runs, health_starts, health_summary, health_timeline, write
from harness.report.health_sheet import AGAINST, DECADES, MARK, _room, grid, shortened
from harness.report.material import read
from harness.spec.activations import Relu, Tanh
from harness.spec.cell import Budget, Cell
from harness.spec.fault import Put
from harness.spec.job import Environment, Health, Job
from harness.spec.layers import Dense, Residual
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import GlobalNorm, Recipe
from harness.store import Record
from harness.study import Grid, Study
from tests.harness.report.conftest import run_into

ENVIRONMENT = Environment("3.11", {"numpy": "2"}, "code", "data", "machine", 1, {})
DATA = DataSet("iris")
SMALL = Network(DATA, (Dense(8), Relu(), Dense(8), Tanh(), Dense(3)), CrossEntropy())
# 66 layers with names of up to 27 characters.
DEEP = Network(DATA, (Dense(8), *(Residual((Residual((Dense(8), Tanh())),)),) * 16, Dense(3)), CrossEntropy())
PLAIN, CLIPPED = Recipe(SGD(0.1)), Recipe(SGD(0.1), GlobalNorm(0.5))
STEPS, EVERY = 40, 2
AT = np.arange(0, STEPS, EVERY)
WINDOWS = Health(every=EVERY, window=2)


def observed(problem=SMALL, recipe=PLAIN, backend="numpy", status="ok", seed=0, measure=WINDOWS, more=(), **changed):
    """A record in which every signal is 1, gradients are 2 before and 1 after the clip, Δw = 0.01 and w = 10.

    ``changed`` are series, by name: values by tensor or layer. ``more`` stand behind them as they are.
    """
    task = tasks.make(problem)
    found = [series("loss", np.linspace(2, 1, STEPS), np.arange(STEPS)), series("loss/training", [0.5], [STEPS])]

    def add(name, tensor, values, at=AT):
        values = changed.get(name, {}).get(tensor, values)
        found.append(series(name, np.broadcast_to(values, at.shape), at, tensor))

    norms = {"gradient_norm": 2.0, "clipped_norm": 1.0, "update_norm": 0.01, "weight_norm": 10.0}
    for tensor in ("", *task.parameters):
        for name, value in norms.items():
            add(name, tensor, value)
    add("clip_bound", "", 0.0)
    for layer in Layout(task, "standard").layers:
        add("nonfinite", layer.name, 0.0)
        if layer.signal:
            add(SIGNAL, layer.name, 1.0)
        for name, value in (("mean", 0.5), ("spread", 1.0), ("zeros", 0.25)):
            add(name, layer.name, value, AT[1::2])
        if layer.bounds is not None:
            add("saturated", layer.name, 0.125, AT[1::2])
        if layer.units:
            add("dead", layer.name, 2.0, AT[1::2])
    cell = Cell(problem, recipe, Budget(steps=STEPS, batch=16), backend, seed=seed)
    return Record(Job(cell, measure, ENVIRONMENT), status, "", {}, {}, table([*found, *more]))


def found(kind="vanishing", severity="failure", layer="tanh1", step=0, evidence=(), confidence=0.99, remedies=()):
    return Finding(kind, severity, layer, step, "a reason", evidence, confidence, remedies)


def material(folder):
    return read([folder.parent / "run"], folder)


def csv(folder, name):
    return pd.read_csv(io.StringIO((folder / f"{name}.csv").read_text()))


def test_where_only_health_was_measured_the_page_is_about_health(diagnosed):
    page = (diagnosed((observed(), ())) / "report.html").read_text()
    assert re.findall(r'<section id="([\w-]+)"', page) == ["summary", "health", "troubles", "environment"]


def test_who_stays_healthy_side_by_side(diagnosed):
    """A note is no alarm; a row is a problem and a recipe, a column a backend."""
    folder = diagnosed(
        (observed(backend="numpy"), [found(), found("saturation", "warning", "tanh1", 8)]),
        (observed(backend="torch"), [found()]),
        (observed(recipe=CLIPPED), [found("clip_never_binds", "note", "")]),
    )
    words = (folder / "report.md").read_text()
    ends = "(training loss 0.500"
    assert f"sgd[lr=0.1] | vanishing, saturation {ends}) | vanishing {ends}) |" in words
    assert f"global_norm[c=0.5] | healthy {ends}; noted: clip never binds) | – |" in words
    rows = csv(folder, "health").sort_values(["recipe", "backend"])
    assert list(rows.healthy) == [False, False, True]
    assert list(rows.failures) == [1, 1, 0] and list(rows.notes) == [0, 0, 1]


def test_a_finding_stands_beside_its_evidence_and_its_remedies(diagnosed):
    seen = Evidence("ln of a ratio", -12.5, -1.25, -4.0, math.inf)
    folder = diagnosed((observed(), [found(evidence=(seen, seen), confidence=0.9999, remedies=("batch_norm", "he"))]))
    words = (folder / "report.md").read_text()
    told = "a reason (ln of a ratio: −12.5, expected −1.25, alarms below −4.00;"
    assert re.search(rf"tanh1 \| 0 \| {re.escape(told)}.*\| > 0.99 \| batch norm, he \|", words)
    rows = csv(folder, "findings")
    assert len(rows) == 2 and set(rows.expected) == {-1.25} and set(rows.confidence) == {0.9999}


def test_what_one_backend_alone_finds_is_said_to_be_its_own(diagnosed):
    folder = diagnosed((observed(backend="numpy"), [found(step=4)]), (observed(backend="torch"), [found(step=6)] * 1))
    assert "| 4–6 |" in (folder / "report.md").read_text()
    folder = diagnosed((observed(backend="numpy"), []), (observed(backend="torch"), [found()]))
    words = (folder / "report.md").read_text()
    assert "(only torch)" in words
    assert "numpy: nothing, torch: vanishing" in words


def test_what_was_not_observed_is_told(diagnosed):
    words = (diagnosed((observed(), ())) / "report.md").read_text()
    assert "| lost in noise | needs gradients of two batch sizes | all runs |" in words
    assert "Never observed, so never judged: lost in noise." in words


def test_the_summary_tells_recipes_of_one_problem_apart_and_counts_problems(diagnosed):
    folder = diagnosed(
        (observed(), [found()]),
        (observed(recipe=CLIPPED), []),
        (observed(DEEP), [found("frozen", "warning", "dense1", 3)]),
    )
    several, single = health_summary.statements(material(folder))
    assert several.sentences[0].startswith("**1 of 2 recipes healthy**")
    assert [(item.name, item.value) for item in several.ranking] == [("sgd[lr=0.1]", "vanishing")]
    assert single.sentences[0] == "**None of 1 problem is healthy:**"
    assert single.ranking[0].light == "dense1 from step 3"


def test_a_grid_is_in_decades_blank_at_0_and_marks_what_is_not_finite():
    at = np.array([0.0, 2.0])
    made = grid({"a": (at, np.array([100.0, 0.0])), "b": (at, np.array([np.nan, np.inf]))}, 2, decades=True)
    np.testing.assert_array_equal(made.values, [[2.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(made.broken, [[False, False], [True, True]])


def test_maps_by_hand():
    """‖Δw‖/‖w‖ = 0.01/10; the clip is not in the gradient's map; of 8 units 2 are dead."""
    seen = Seen(observed())
    assert health_maps.updates(seen).rows == ("dense1", "dense2", "dense3")
    assert (health_maps.updates(seen).values == -3).all()
    np.testing.assert_allclose(health_maps.gradients(seen).values, np.log10(2.0))
    dead = health_maps.share("dead")(seen)
    assert dead.rows == ("relu1",) and (dead.values == 0.25).all()
    assert health_maps.share("saturated")(seen).rows == ("tanh1",)
    assert health_maps.share("zeros")(seen).rows == ("relu1", "tanh1")
    assert health_maps.signals(seen).rows == ("dense1", "relu1", "dense2", "tanh1", "dense3")


def test_what_is_nowhere_is_not_drawn():
    nothing = {name: 0.0 for name in ("dense1", "relu1", "dense2", "tanh1", "dense3")}
    seen = Seen(observed(saturated=nothing, spread=nothing))
    assert health_maps.share("saturated")(seen) is None
    assert not health_maps.spreads(seen).shows


def test_outputs_that_are_not_finite_are_marked_on_the_signals():
    seen = Seen(observed(nonfinite={"dense2": np.where(AT >= 10, 3.0, 0.0)}))
    made = health_maps.signals(seen)
    row = made.rows.index("dense2")
    assert list(made.steps[made.broken[row]]) == list(AT[AT >= 10])
    assert made.broken.sum() == made.broken[row].sum() and np.isnan(made.values[made.broken]).all()


def test_a_weight_of_0_has_no_update_ratio_and_is_not_called_broken():
    seen = Seen(observed(weight_norm={"dense1.weight": 0.0}))
    made = health_maps.updates(seen)
    assert np.isnan(made.values[0]).all() and not made.broken.any()


def test_the_profile_is_0_where_signals_are_as_expected_and_forgets_how_large_they_are_together():
    theory = Seen(observed()).expected
    signals = {name: np.sqrt(layer.gradient) for name, layer in theory.layers.items()}
    shrinking = np.linspace(1, 1e-3, AT.size)
    seen = Seen(observed(**{SIGNAL: {name: value * shrinking for name, value in signals.items()}}))
    np.testing.assert_allclose(health_maps.profile(seen).values, 0, atol=1e-12)
    signals["relu1"] *= 100
    seen = Seen(observed(**{SIGNAL: signals}))
    np.testing.assert_allclose(health_maps.profile(seen).values[1], 2)


def test_findings_are_marked_in_the_row_of_their_layer_or_weight(diagnosed):
    said = [
        found(layer="tanh1", step=6),
        found("frozen", layer="dense2.weight", step=8),
        found("over_fitting", layer=""),
    ]
    (case,) = health_runs.cases(material(diagnosed((observed(), said))))
    on_signals, on_updates, on_saturation = (
        list(health_maps.marks(case, case.runs[0], of(case.runs[0].seen), kinds))
        for of, kinds in (
            (health_maps.signals, KINDS),
            (health_maps.updates, KINDS),
            (health_maps.share("saturated"), ("saturation",)),
        )
    )
    assert on_signals == [(1, 3, 6.0), (2, 2, 8.0)]
    assert on_updates == [(2, 1, 8.0)]
    assert on_saturation == []


def test_numbers_beside_marks_stand_on_nothing_else():
    """Findings at the start of twenty neighbouring rows of eight pixels."""
    taken, half = [], 6.7
    for row in range(20):
        mark = (2.0, 8.0 * row + 4)
        there = _room(*mark, half, 250.0, 160.0, taken)
        assert all(abs(there[0] - x) > half + h or abs(there[1] - y) > 2 * MARK for x, y, h in taken)
        taken += [(*mark, 4.0), (*there, half)]


def test_scales():
    assert AGAINST.limits([np.array([[-2.0, np.nan]]), np.array([[1.0, 0.0]])]) == (-2.0, 2.0)
    assert DECADES.limits([np.array([[-2.0, np.nan]]), np.array([[1.0, 0.0]])]) == (-2.0, 1.0)
    low, high = DECADES.limits([np.full((2, 2), np.nan)])
    assert low < high


def test_long_names_keep_their_end():
    assert shortened("residual16.residual1.dense1") == "…dual16.residual1.dense1"
    assert len(shortened("x" * 100)) == 24 and shortened("dense1") == "dense1"


def test_findings_of_one_kind_and_step_are_one_mark_of_the_worst_severity():
    said = [found(severity="warning", layer="a"), found(layer="b"), found(layer="c", step=4), found(layer="", step=9)]
    marks = health_timeline._marks(said, "vanishing")
    assert list(marks) == [(0, "failure", "2 layers"), (4, "failure", "c"), (9, "failure", "")]


def test_the_profile_at_the_start_is_theory_s_beside_what_the_record_holds(diagnosed):
    """Mean square = 0.5² + 1; ‖∂L/∂y‖² = 3²; theory is asked on the first batch itself."""
    folder = diagnosed((observed(**{SIGNAL: {"relu1": 3.0}}), ()))
    rows = csv(folder, "health-start").set_index(["quantity", "layer"])
    assert rows.loc["mean square of outputs", "relu1"].observed == 1.25
    assert rows.loc["‖∂L/∂y‖²", "relu1"].observed == 9
    task = tasks.make(SMALL)
    first = tasks.order(task.samples, Budget(steps=STEPS, batch=16), 0)[0]
    theory = expected(SMALL, task.parts["training"].x[first], task.parts["training"].y[first])
    assert rows.loc["‖∂L/∂y‖²", "dense1"].expected == pytest.approx(theory.layers["dense1"].gradient)
    assert rows.loc["mean square of outputs", "tanh1"].expected == pytest.approx(theory.layers["tanh1"].square)


def test_recipes_of_one_problem_share_their_start(diagnosed):
    folder = diagnosed((observed(), ()), (observed(recipe=CLIPPED), ()))
    assert len(health_starts.starts(health_runs.cases(material(folder)))) == 1


def test_how_often_the_clip_binds(diagnosed):
    binds = (AT < 10).astype(float)
    folder = diagnosed((observed(recipe=CLIPPED, clip_bound={"": binds}), ()), (observed(), ()))
    (row,) = csv(folder, "health-clips").itertuples()
    assert row.share_bound == binds.mean() and (row.median_norm_before, row.median_norm_after) == (2, 1)
    assert "binds on 25 %" in (folder / "report.html").read_text()


def test_seeds_are_told_apart_and_those_that_are_well_are_drawn_once(diagnosed):
    folder = diagnosed((observed(), ()), (observed(seed=1), ()), (observed(seed=2), [found()]))
    assert [case.rest for case in health_runs.cases(material(folder))] == [f"sgd[lr=0.1], seed {i}" for i in range(3)]
    drawn = re.findall(r"Layer by layer: .*?, seed (\d)</(?:h3|summary)>", (folder / "report.html").read_text())
    assert set(drawn) == {"0", "2"}
    assert "**2 of 3 runs healthy**" in (folder / "report.md").read_text()


def test_cases_are_named_by_what_they_differ_in(diagnosed):
    planted = Health(every=EVERY, window=2, faults=(Put(30, "dense1.weight", "nan", 3),))
    folder = diagnosed((observed(), ()), (observed(measure=planted), ()))
    broken, plain = (case.rest for case in health_runs.cases(material(folder)))
    assert plain == "sgd[lr=0.1], health[every=2,window=2]"
    assert broken.endswith("faults=(put[step=30,parameter=dense1.weight,value=nan,index=3])]")


def test_the_same_records_give_the_same_bytes(diagnosed):
    made = [(observed(backend=backend), [found(), found(layer="", step=3)]) for backend in ("numpy", "torch")]
    first = {path.name: path.read_bytes() for path in diagnosed(*made).iterdir()}
    again = {path.name: path.read_bytes() for path in diagnosed(*made).iterdir()}
    assert first == again


LEVELS = Study(
    "levels",
    "health at two levels, on a network and a function",
    (
        Grid(Health(every=2, window=2), ("cube-2x2x2",), backends=("numpy",), steps=12),
        Grid(Health("minimal", every=2), ("cube-2x2x2", "beale"), ("sgd[lr=1e8]",), backends=("numpy",), steps=12),
    ),
)


def test_a_real_run_at_every_level_makes_a_page(tmp_path):
    """Of a function nothing but its variables is observed; at a rate of 10⁸ it is not finite at once."""
    write([run_into(tmp_path / "levels", LEVELS)], tmp_path)
    rows = csv(tmp_path, "health")
    assert len(rows) == 3
    assert set(rows[rows.problem == "beale"].status) == {"diverged"}
    assert set(csv(tmp_path, "health-start").problem) == {"cube-2x2x2"}


SHOWN = "[...document.querySelectorAll('#health svg')]"
BESIDE = """svg => {
    const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
    return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([, q]) =>
        p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 3 && q.top < p.bottom - 3)
        .map(([b]) => [a, b]));
}"""


CUT = (
    "[...document.querySelectorAll('#health .scroll')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)"
)
OUTSIDE = """svg => [...svg.querySelectorAll('text')].filter(t => {
    const a = t.getBoundingClientRect(), b = svg.getBoundingClientRect();
    return a.left < b.left - 3 || a.right > b.right + 3 || a.bottom > b.bottom + 3 || a.top < b.top - 3;
}).map(t => t.textContent)"""


@pytest.mark.parametrize("width", [390, 1180])
def test_many_layers_with_long_names_and_many_findings_fit(browser, diagnosed, width):
    """66 layers, findings in 24 neighbouring ones, four backends of which one differs, and a run that breaks."""
    layers = [f"residual{i}.residual1.{kind}1" for i in range(1, 13) for kind in ("dense", "tanh")]
    said = [found(layer=layer, step=2 * (place % 20)) for place, layer in enumerate(layers)]
    last = "residual9.residual1.tanh1"
    planted = Health(every=EVERY, window=2, faults=(Put(30, f"{last.replace('tanh', 'dense')}.weight", "nan", 3),))
    broken = observed(DEEP, measure=planted, **{SIGNAL: {last: np.where(AT > 30, np.nan, 1.0)}})
    folder = diagnosed(
        *((observed(DEEP, CLIPPED, backend), said) for backend in ("numpy", "torch", "tensorflow")),
        (observed(DEEP, CLIPPED, "jax"), said[:-1]),
        (broken, [found("non_finite", layer=last, step=32)]),
    )
    browser.open(folder / "report.html", width, "light")
    assert [e for e in browser.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")] == []
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    wide = "[...document.querySelectorAll('.panel-title')].filter(e => e.scrollWidth > e.clientWidth)"
    assert browser.run(f"{wide}.map(e => e.textContent)") == []
    assert browser.run(f"{SHOWN}.length") > 14
    assert browser.run(f"{SHOWN}.flatMap({OUTSIDE})") == []
    assert browser.run(f"{SHOWN}.flatMap({BESIDE})") == []
    assert width < 1180 or browser.run(CUT) == []
