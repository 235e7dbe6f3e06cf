"""What asv finds in the suites, as asv finds it; and figures that are worked out by hand."""

import ast
import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from harness.findings.seen import Seen
from harness.measure.series import series, table
from harness.problems.catalogue import case
from harness.spec.cell import Budget, Cell
from harness.spec.job import Environment, Job
from harness.spec.optimizers import SGD
from harness.spec.recipe import GlobalNorm, Recipe
from harness.store import Record
from suites import health, meaning, training

ROOT = Path(__file__).resolve().parents[2]
DISCOVER = """
import io, json, sys
from asv_runner.discovery import list_benchmarks
found = io.StringIO()
list_benchmarks(sys.argv[1], found)
loaded = [name for name in ("torch", "tensorflow", "keras", "jax", "optax") if name in sys.modules]
print(json.dumps([json.loads(found.getvalue()), loaded]))
"""


@pytest.fixture(scope="module")
def found():
    done = subprocess.run(
        [sys.executable, "-c", DISCOVER, str(ROOT / "suites")], capture_output=True, text=True, cwd=ROOT, check=True
    )
    benchmarks, loaded = json.loads(done.stdout.splitlines()[-1])
    return SimpleNamespace(benchmarks={one["name"]: one for one in benchmarks}, loaded=loaded)


def test_looking_for_benchmarks_imports_no_framework(found):
    assert found.loaded == []


def test_every_benchmark_names_who_computes_its_unit_and_its_version(found):
    suites = {name.partition(".")[0] for name in found.benchmarks}
    assert suites == {"speed", "cold", "convergence", "gradients", "health"}  # and not "everything", which is asked for
    for name, one in found.benchmarks.items():
        assert one["param_names"][0] == "contender", name
        assert one["unit"] != "unit", name
        # Not asv's own, a hash of the few lines that call the harness.
        assert one["version"].startswith(f"{meaning.MEANING}-"), name


def test_another_recipe_is_another_version_and_another_comment_is_not():
    one, other = SGD(0.1), SGD(0.2)
    assert meaning.version([one, other]) != meaning.version([one, one])
    assert meaning.version([one]) == meaning.version([SGD(0.1)])


MEASURING = (
    *("harness/measure/speed.py", "harness/measure/cores.py", "harness/measure/memory.py"),
    *("harness/measure/pace.py", "harness/measure/heap.py", "harness/execute/timing.py"),
    *("harness/measure/curvature.py", "harness/measure/lanczos.py", "harness/measure/health.py"),
    *("harness/measure/run.py", "harness/measure/convergence.py", "harness/judge/convergence.py"),
    *("suites/timed.py", "suites/contenders.py", "suites/speed.py", "suites/cold.py", "suites/training.py"),
    *("suites/convergence.py", "suites/gradients.py", "suites/health.py", "suites/observation.py"),
    "suites/everything.py",
)
# Meaning → a digest of the code that measures.
KNOWN = {3: "85626115dc6fb87d"}


def test_code_that_measures_does_not_change_without_a_word_on_what_its_figures_mean():
    """Where this fails: if the figures no longer mean the same, raise ``MEANING``; then note the new digest above."""
    digest = hashlib.sha256()
    for name in MEASURING:
        tree = ast.parse((ROOT / name).read_text())
        for node in ast.walk(tree):  # words about it are no part of it
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = ""
        digest.update(ast.unparse(tree).encode())
    assert KNOWN[meaning.MEANING] == digest.hexdigest()[:16]


def test_decades_between_layers_and_the_clip_rate_by_hand():
    """First against last weight: 1/100, 1/1, 1/10 are 2, 0, 1 decades, a step without a gradient none; biases are no
    layers. The global norms are √(1² + 2² + 100²) > 50, √(1 + 4 + 1) < 50, √(100 + 4 + 10⁴) > 50, 0: two of four."""
    norms = {"a.weight": [1.0, 1.0, 10.0, 0.0], "a.bias": [2.0, 2.0, 2.0, 0.0], "b.weight": [100.0, 1.0, 100.0, 0.0]}
    rows = [{"step": t, "tensor": n, "value": v} for n, values in norms.items() for t, v in enumerate(values)]
    job = SimpleNamespace(cell=SimpleNamespace(recipe=Recipe(SGD(), GlobalNorm(50.0))))
    record = SimpleNamespace(series=lambda name: pd.DataFrame(rows), job=job)
    assert training.gradients(record) == {"depth": 1.0, "worst depth": 2.0, "clip rate": 0.5}
    assert np.isfinite(list(training.gradients(record).values())).all()


def test_a_figure_that_is_missing_is_skipped_with_its_reason(monkeypatch):
    figures = {("jax jit", "SGD"): {"loss": 0.5, "steps": "diverged: at step 3", "worst depth": math.inf}}
    assert training.figure(figures, "loss", "jax jit", "SGD") == 0.5
    with pytest.raises(NotImplementedError, match="diverged: at step 3"):
        training.figure(figures, "steps", "jax jit", "SGD")
    with pytest.raises(NotImplementedError, match="not finite: inf"):  # asv publish would stop at it
        training.figure(figures, "worst depth", "jax jit", "SGD")
    monkeypatch.setattr(training.contenders, "missing", lambda backend: f"{backend} not installed: pip install it")
    with pytest.raises(NotImplementedError, match="torch not installed: pip install it"):
        training.figure(figures, "loss", "torch eager", "SGD")
    grids = [training.grid("digits", "SGD", contender, training.MEASURES[0]) for contender in training.contenders.EACH]
    assert training.measured(grids, lambda record: ()) == {}


def test_the_last_update_may_be_what_diverges():
    """Every step's loss was finite, the loss after the last one is not."""
    recipe = Recipe(SGD(0.1))
    cell = Cell(case("digits-64-64-64-10").problem, recipe, Budget(steps=2, batch=4), "numpy", "shipped")
    found = [series("loss", [1.0, 2.0]), series("loss/training", [1.0, math.inf], np.array([0, 2]))]
    record = Record(Job(cell, training.MEASURES[0], Environment("3", {}, "", "", "", 1, {})), "ok", table=table(found))
    figures = training.trained([record])
    assert (figures["diverged"], figures["missed target"]) == (1.0, 1.0)
    assert figures["loss"] == "diverged: the loss at the end is not finite"


def test_another_problem_of_the_same_name_is_another_version(monkeypatch):
    assert training.version() == training.Trained.version
    moved = case("sigmoid-binary")
    monkeypatch.setattr(training, "find_case", lambda name: moved)
    assert training.version() != training.Trained.version


def test_health_by_hand():
    """The first layer gets a thousandth of what the last one gets at the start, and 1e-5 later: 3 and 5 decades."""
    cell = Cell(case("rnn-long-orthogonal").problem, Recipe(SGD()), Budget(steps=4, batch=4), "numpy")
    found = [series("loss", [1.0] * 4, np.arange(4))]
    for name, signals in (("embedding1", [1e-3, 0.0, 1e-5, np.nan]), ("rnn1", [1.0] * 4), ("dense1", [1.0] * 4)):
        found.append(series("signal_norm", signals, np.arange(4), name))
    record = Record(Job(cell, health.OBSERVED, Environment("3", {}, "", "", "", 1, {})), "ok", table=table(found))
    figures = health.figures(record)
    assert (figures["depth"], figures["worst depth"]) == (pytest.approx(3), pytest.approx(5))
    theory = Seen(record).expected
    expected = math.log10(theory.layers["embedding1"].gradient / theory.layers["dense1"].gradient) / 2
    assert figures["off theory"] == pytest.approx(abs(-3 - expected))
    assert all(np.isfinite(value) and value >= 0 for value in figures.values())
