"""``gradgauge diagnose`` as its user meets it: what it says, its exit code, what it leaves."""

import json
import shlex
import sys

import pytest
from msgspec.structs import replace

from harness import cli
from harness.problems.catalogue import CATALOGUE
from harness.spec.base import from_toml
from harness.spec.cell import Budget, Case
from harness.spec.initialisations import Scaled, Zeros
from harness.spec.toml import to_toml

HEALTHY = ("digits-64-10-l2", "--backend", "numpy", "--out", "run")


@pytest.fixture
def gradgauge(tmp_path, monkeypatch, capsys):
    """Runs a line in this process, in a folder of its own; gives its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradgauge", *map(str, arguments)])
        code = cli._status()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def write(folder, name, **changes):
    """A file of a small problem in which nothing is wrong, but for these changes of its network."""
    case = CATALOGUE["digits-64-10-l2"]
    problem = replace(case.problem, **changes)
    (folder / f"{name}.toml").write_text(to_toml(replace(case, name=name, problem=problem, budget=Budget(steps=60))))


def test_a_healthy_run_is_exit_code_0_and_leaves_a_report(tmp_path, gradgauge):
    code, _, told = gradgauge("diagnose", *HEALTHY, "--optimizer", "adam[lr=0.003]")
    assert code == 0, told
    assert "numpy, seed 0: healthy" in told
    assert "not observed: lost in noise: needs noise small of level full" in told
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_finding_that_alarms_is_exit_code_1_resumes_and_is_what_its_folder_says(tmp_path, gradgauge):
    write(tmp_path, "ill", initialisation=Zeros())
    line = ("diagnose", "ill.toml", "--backend", "numpy,reference", "--precision", "float64", "--out", "run")
    code, table, told = gradgauge(*line)
    assert code == 1, told
    assert "ill, adam[lr=0.01] + global_norm + l2" in told
    assert told.count(": not healthy") == 2  # one a backend, side by side
    assert "identical units" in table
    assert "share of units that equal another to the last bit: 1" in table
    assert "initialisation" in table  # the remedy
    code, text, told = gradgauge(*line, "--format", "json")
    assert code == 1
    assert "(2 done before)" in told
    found = json.loads(text)
    assert found["schema"] == 1
    assert [one["backend"] for one in found["diagnose"]] == ["reference", "numpy"]
    for one in found["diagnose"]:
        assert not one["healthy"]
        assert one["findings"][0]["kind"] == "identical_units"
        assert one["findings"][0]["evidence"][0]["observed"] == 1.0
        assert {"kind": "lost_in_noise", "why": "needs noise small of level full"} in one["not_observed"]
    code, again, _ = gradgauge("diagnose", "run", "--format", "json")
    assert code == 1
    assert json.loads(again) == found


def test_evidence_that_numpy_computed_is_json_too(tmp_path, gradgauge):
    data = replace(CATALOGUE["digits-64-10-l2"].problem.data, training=60)
    write(tmp_path, "few", data=data)
    line = ("diagnose", "few.toml", "--backend", "numpy", "--optimizer", "adam[lr=0.1]", "--penalty", "none")
    code, text, told = gradgauge(*line, "--steps", "200", "--out", "run", "--format", "json")
    assert code == 1, told
    assert "over_fitting" in {finding["kind"] for finding in json.loads(text)["diagnose"][0]["findings"]}


def test_a_folder_is_judged_as_it_is(gradgauge):
    assert gradgauge("run", "functions", "--problem", "rosenbrock", "--steps", "5", "--backend", "numpy", "--out", "a")
    code, _, told = gradgauge("diagnose", "a")
    assert code == 3
    assert "a holds no observed run: gradgauge diagnose PROBLEM makes one" in told
    code, _, told = gradgauge("diagnose", "a", "--steps", "3", "--clip", "none")
    assert code == 2
    assert "a is a run, judged as it is: leave out --clip, --steps" in told


def test_nothing_measured_is_exit_code_3(gradgauge):
    raising = "--backend", "tests.faulty:RAISING", "--precision", "float64"
    code, _, told = gradgauge("diagnose", "rosenbrock", "--steps", "5", *raising)
    assert code == 3, told
    assert "nothing was measured: 1 failed" in told


def test_short_and_long_runs_are_observed_as_they_have_room(gradgauge):
    for steps, every, window in ((1, 1, 1), (150, 1, 4), (900, 4, 4), (10_000, 10, 4)):
        chosen, _ = cli.diagnosis.studies("rosenbrock", None, None, None, {}, backends=("numpy",), steps=steps)
        assert (chosen.grids[0].measure.every, chosen.grids[0].measure.window) == (every, window)


def test_every_kind_is_listed_with_its_meaning_and_what_it_needs(gradgauge):
    code, text, _ = gradgauge("list", "findings", "--format", "json")
    rows = {row["name"]: row for row in json.loads(text)["findings"]}
    assert code == 0
    assert len(rows) == 15
    assert rows["dead_units"]["needs"] == "dead (level standard)"
    assert rows["over_fitting"]["needs"] == "a validation part (any level)"
    assert all(row["meaning"].endswith(".") for row in rows.values())


def test_remedies_are_applied_and_the_best_is_a_file_that_is_healthy(tmp_path, gradgauge):
    write(tmp_path, "ill", initialisation=Zeros())
    line = ("diagnose", "ill.toml", "--backend", "numpy", "--out", "run", "--remedy")
    code, table, told = gradgauge(*line)
    assert code == 1, told  # of the run that was asked about
    assert "before" in table
    assert "initialisation (best)" in table
    assert "best is initialisation: gradgauge diagnose run/best.toml" in told
    case = from_toml(Case, (tmp_path / "run" / "best.toml").read_text())
    assert case.problem.initialisation == Scaled("he", "normal")
    assert case.name == "ill, initialisation"
    report = (tmp_path / "run" / "report.md").read_text()
    recipe = "adam[lr=0.01] + global_norm + l2[rate=0.01,on=(dense1.weight)]"
    assert f"ill, initialisation, {recipe} (remedy: initialisation)" in report
    assert f"ill, {recipe} (before any remedy)" in report
    assert "of remedies: gradgauge diagnose FILE --remedy makes them" in report
    assert "no known selection" not in report
    code, text, told = gradgauge(*line, "--format", "json")
    (found,) = json.loads(text)["remedies"]
    before, *after = found["outcomes"]
    assert f"remedies: {len(after)} jobs ok ({len(after)} done before)" in told.replace("1 job ok (1", "1 jobs ok (1")
    assert (before["remedy"], before["findings"][0]) == (None, "identical_units")
    (best,) = [one for one in after if one["best"]]
    assert (best["remedy"], best["findings"]) == ("initialisation", [])
    assert best["training_loss"] < before["training_loss"]
    code, _, told = gradgauge("diagnose", "run/best.toml", "--backend", "numpy", "--out", "cured")
    assert code == 0, told


def test_of_a_run_that_diverges_the_rate_is_lowered_and_what_diverges_again_is_never_the_best(tmp_path, gradgauge):
    line = ("diagnose", "rosenbrock", "--optimizer", "sgd[lr=0.1]", "--backend", "numpy", "--steps", "60")
    code, table, told = gradgauge(*line, "--out", "run", "--remedy", "--format", "json")
    assert code == 1, told
    (found,) = json.loads(table)["remedies"]
    ends = {one["remedy"]: one for one in found["outcomes"]}
    assert ends["rate_over_10"]["status"] == "diverged"
    assert ends["rate_over_30"]["findings"] == []
    (best,) = [one for one in found["outcomes"] if one["best"]]
    assert best["status"] == "ok"
    assert from_toml(Case, (tmp_path / "run" / "best.toml").read_text()).recipe.optimizer.lr < 0.01
    gradgauge(*line, "--out", "run")  # without --remedy, and what the others were stays told
    report = (tmp_path / "run" / "report.md").read_text()
    assert "(remedy: rate over 30)" in report
    assert f"gradgauge {shlex.join(line)} --remedy" in report
    gradgauge("diagnose", "rosenbrock", "--optimizer", "adam", "--steps", "30", "--backend", "numpy", "--out", "other")
    gradgauge("report", "run", "other", "--out", "both")
    report = (tmp_path / "both" / "report.md").read_text()
    assert "rosenbrock, sgd[lr=0.1], float32, 60 steps, full batch (before any remedy)" in report
    other = "rosenbrock, adam[lr=0.001], float32, 30 steps, full batch"
    assert other in report and f"{other} (" not in report  # no remedy of it was tried
    assert "frozen" not in ends["rate_by_length"]["findings"]
