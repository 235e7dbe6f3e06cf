"""Histograms of outputs: what is drawn is what was recorded, of made-up records at level full."""

import re

import numpy as np
import pytest

from harness.findings.seen import Seen
from harness.measure.series import series
from harness.observation import BINS, EDGES, Layout
from harness.problems import task as tasks
from harness.report import health_histogram_sheet as drawing
from harness.report import health_histograms as drawn
from harness.spec.job import Health
from tests.harness.report import test_health as of_health
from tests.harness.report.test_health import AT, DEEP, EVERY, SMALL, found, observed

FULL = Health("full", every=EVERY, window=2)
ENDS = AT[1::2]
ZERO, BROKEN = BINS, BINS + 1
RANDOM = np.random.default_rng(0)


def counted(y):
    """The histograms of some outputs, a row a window: by NumPy, with what is 0 and not finite apart."""
    y = np.asarray(y, dtype=float)
    rows = []
    for row in y:
        inside = row[np.isfinite(row) & (row != 0)]
        shares = np.histogram(inside, [-np.inf, *EDGES, np.inf])[0]
        rows.append([*shares, np.sum(row == 0), np.sum(~np.isfinite(row))])
    return np.array(rows) / y.shape[1]


USUAL = counted(RANDOM.normal(size=(ENDS.size, 500)))


def full(problem=SMALL, windows=ENDS.size, of=None, **others):
    """A record at level full: ``of`` layers these histograms, a row a window; of the others a normal distribution's."""
    names = [layer.name for layer in Layout(tasks.make(problem), "full").layers]
    rows = [
        series("histogram", row, step, name)
        for name in names
        for row, step in zip((of or {}).get(name, USUAL[:windows]), ENDS, strict=False)
    ]
    return observed(problem, measure=FULL, more=rows, **others)


def figure(folder):
    """The figures of histograms on a page."""
    return re.findall(r'<figure id="health-\d+-histograms".*?</figure>', (folder / "report.html").read_text(), re.S)


def test_what_was_recorded_is_what_is_shown():
    own = counted(RANDOM.normal(size=(ENDS.size, 100)) * 8)
    shown = drawn.histograms(Seen(full(of={"relu1": own})))
    assert list(shown) == ["dense1", "relu1", "dense2", "tanh1", "dense3"]
    assert shown["relu1"].steps.tolist() == ENDS.tolist()
    assert np.array_equal(shown["relu1"].shares, own)
    assert np.array_equal(shown["dense2"].shares, USUAL)


def test_a_row_of_a_drawing_is_the_share_of_outputs_of_its_size():
    """Counted anew between the powers of two that stand beside the rows; nothing of any other layer is lost."""
    y = RANDOM.normal(size=(3, 1000)) * [[0.01], [1.0], [30.0]]
    y[1, :300] = 0
    y[2, :50] = np.nan
    shares = counted(y)
    rows = drawing.rows([shares, counted([[-5e3, 0.5]])])
    folded = rows.fold(shares)
    near, above, below = (one + drawing.LEAST_POWER - 1 for one in (rows.near, rows.above, rows.below))
    edges = np.concatenate([-(2.0 ** np.arange(below, near - 1, -1)), 2.0 ** np.arange(near, above + 1)])
    for row, column in zip(y, folded.T, strict=True):
        inside = row[np.isfinite(row) & (row != 0)]
        assert column[::-1].tolist() == (np.histogram(inside, edges)[0] / 1000).tolist()
    assert folded.sum(axis=0) + shares[:, ZERO] + shares[:, BROKEN] == pytest.approx([1, 1, 1])
    assert shares[:, ZERO].tolist() == [0, 0.3, 0] and shares[:, BROKEN].tolist() == [0, 0, 0.05]
    assert below == 13  # 2¹² ≤ 5000 < 2¹³: no row more than is needed


@pytest.mark.parametrize(
    ("y", "above", "below"),
    [(0.3, "2⁻¹", "2⁻²"), (-0.3, "−2⁻²", "−2⁻¹"), (20, "2⁵", "2⁴"), (-20, "−2⁴", "−2⁵"), (1, "2¹", "2⁰")],
)
def test_an_output_lies_between_the_labels_around_it(y, above, below):
    rows = drawing.rows([counted([[y, 2e4, -2e4, 1e-6, -1e-6]])])
    place = int(np.argmax(rows.fold(counted([[y]]))))
    labels = rows.labels(40.0)
    assert (labels[place - 0.5], labels[place + 0.5]) == (above, below)


def test_what_is_tiny_everywhere_and_what_is_huge_is_in_the_first_and_the_last_row():
    rows = drawing.rows([counted([[1e-9, -1e-9, 1e9, 1e9]])])
    assert rows == (1, drawing.SIZES, 1)
    assert rows.fold(counted([[1e-9, -1e-9, 1e9, 1e9]]))[:, 0].tolist() == [0.5, *[0] * 40, 0.5]
    assert [label for label in rows.labels(40.0).values() if not label.startswith("2")] == ["±2⁻²⁴"]


@pytest.mark.parametrize("windows", [1, 3])
def test_runs_of_one_window_and_of_nothing_but_zeros_are_drawn(diagnosed, windows):
    dead = np.tile(counted([[0.0]]), (windows, 1))
    (made,) = figure(diagnosed((full(windows=windows, of=dict.fromkeys(("relu1", "tanh1"), dead)), ())))
    assert re.findall(r'<p class="panel-title">([^<]*)</p>', made) == ["dense1", "relu1", "dense2", "tanh1", "dense3"]


def test_what_is_not_finite_is_a_row_of_its_own(diagnosed):
    broken = USUAL.copy()
    broken[4:] = counted([[np.nan, np.inf, -np.inf, 0.5]])
    sheet = drawing.Sheet(drawing.rows([broken]), ENDS.astype(float))
    for shares, lost in ((USUAL, 0), (broken, 0.75)):
        sheet.svg(shares, "name", "title")
        rows = sheet.broken.get_array()
        assert rows[1].filled(0).tolist() == [0] * 4 + [lost] * (ENDS.size - 4) and rows[0].mask.all()
    (made,) = figure(diagnosed((full(of={"tanh1": broken}), ())))
    crosses = [panel for panel in made.split('<div class="panel">') if "stroke: #ffffff" in panel]
    assert len(crosses) == 1 and "tanh1" in crosses[0]


def test_of_many_layers_twelve_are_drawn_evenly_and_the_others_counted(diagnosed):
    assert drawn.chosen(list("abc")) == ["a", "b", "c"]
    every = [str(place) for place in range(34)]
    assert drawn.chosen(every) == [str(place) for place in range(0, 34, 3)]
    (made,) = figure(diagnosed((full(DEEP, windows=2), ())))
    titles = re.findall(r'<p class="panel-title">([^<]*)</p>', made)
    assert len(titles) == 12 and (titles[0], titles[-1]) == ("dense1", "dense2")
    assert "Drawn: 12 of 66 layers, evenly chosen; 54 left out." in made


def test_backends_that_differ_stand_beside_each_other_with_one_axis(diagnosed):
    """Of those that alarm alike the first is drawn, and named."""
    large = counted(RANDOM.normal(size=(ENDS.size, 100)) * 1000)
    folder = diagnosed(
        (full(backend="numpy"), [found()]), (full(backend="torch", of={"dense1": large}), []), (full(backend="jax"), [])
    )
    (made,) = figure(folder)
    titles = re.findall(r'<p class="panel-title">([^<]*)</p>', made)
    assert titles[:3] == ["dense1, numpy", "dense1, torch, jax alike", "relu1, numpy"] and len(titles) == 10
    drawings = re.findall(r"<svg .*?</svg>", made, re.S)[1:]  # the first is the scale
    assert len({tuple(re.findall(r">(±?−?2[^<]*)</text>", one)) for one in drawings}) == 1


def test_backends_that_agree_are_drawn_once(diagnosed):
    (made,) = figure(diagnosed((full(backend="numpy"), []), (full(backend="torch"), [])))
    assert "Drawn: numpy." in made
    assert made.count("panel-title") == 5


@pytest.mark.parametrize(
    ("measure", "why"),
    [
        (Health(every=EVERY, window=2), "no run was observed at level full"),
        (FULL, "no run at level full has layers and a whole window"),  # as of one that diverges before that
    ],
)
def test_where_nothing_is_drawn_a_sentence_says_why(diagnosed, measure, why):
    folder = diagnosed((observed(measure=measure), ()))
    assert figure(folder) == []
    assert f"Histograms of outputs are not drawn: {why}." in (folder / "report.md").read_text()


def test_where_one_run_was_observed_at_level_full_it_is_drawn_and_nothing_said(diagnosed):
    folder = diagnosed((observed(), ()), (full(), ()))
    assert len(figure(folder)) == 1
    assert "are not drawn" not in (folder / "report.md").read_text()


def test_drawings_fit(browser, diagnosed):
    """Of the whole range, of outputs around 1, and of two windows, with long names."""
    wide = counted([[*10.0 ** np.arange(-9, 9), *-(10.0 ** np.arange(-9, 9)), 0, np.nan]] * 2)
    ill = full(DEEP, of={"dense1": wide}, seed=1)
    folder = diagnosed((full(DEEP, windows=2), [found(layer="dense1")]), (ill, [found()]))
    shown = "[...document.querySelectorAll('figure[id$=histograms] svg')]"
    for width in (390, 1180):
        browser.open(folder / "report.html", width, "light")
        browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert browser.run(f"{shown}.length") == 2 * 13
        assert browser.run(f"{shown}.flatMap({of_health.OUTSIDE})") == []
        assert browser.run(f"{shown}.flatMap({of_health.BESIDE})") == []
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
