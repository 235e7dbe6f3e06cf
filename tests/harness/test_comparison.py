"""``gradgauge compare`` as its user meets it, on results of a real asv and on runs."""

import contextlib
import json
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness import cli, comparison, tables
from harness.judge.kinds import SECONDS, Key, Measurement
from harness.judge.measurements import Measured
from harness.sides import Side
from harness.store import Store

STEP = "tiny.Step.time_step"


@pytest.fixture
def gradgauge(capsys, monkeypatch):
    """The command line within this process: it is asked often."""

    def run(*arguments, cwd="."):
        monkeypatch.setattr(sys, "argv", ["gradgauge", *map(str, arguments)])
        with contextlib.chdir(cwd):
            code = cli._status()
        return SimpleNamespace(returncode=code, **capsys.readouterr()._asdict())

    return run


@pytest.fixture
def copied(asv_run, tmp_path):
    """A copy of the real repository, whose results may be changed."""
    shutil.copytree(asv_run.folder, tmp_path / "tiny")
    return tmp_path / "tiny"


def results_of(repository, commit):
    return next((repository / ".asv" / "results" / "here").glob(f"{commit[:8]}-*.json"))


def change(path, **columns):
    """Change columns of the step times of a result."""
    raw = json.loads(path.read_text())
    for name, made in columns.items():
        place = raw["result_columns"].index(name)
        raw["results"][STEP][place] = made(raw["results"][STEP][place])
    path.write_text(json.dumps(raw))


def steady(milliseconds):
    """Eight samples within a per cent, wherever there are any."""
    return lambda samples: [
        None if one is None else [milliseconds * (1e-3 + 1e-6 * i) for i in range(8)] for one in samples
    ]


def test_two_commits(asv_run, gradgauge):
    done = gradgauge("compare", "HEAD~1", asv_run.commits[1][:6], "--format", "json", cwd=asv_run.folder)
    assert done.returncode == 0, done.err
    found = json.loads(done.out)
    assert found["schema"] == 1
    rows = {(row["who"], row["what"], row["measure"]): row for row in found["compare"]}
    raw = [json.loads(results_of(asv_run.folder, commit).read_text()) for commit in asv_run.commits]
    samples = [one["results"][STEP][one["result_columns"].index("samples")][0] for one in raw]
    row = rows["numpy eager", "adam", STEP]
    assert row["ratio"] == pytest.approx(np.exp(np.diff([np.median(np.log(one)) for one in samples]))[0])
    assert row["low"] <= row["ratio"] <= row["high"]
    assert row["how"] == "not paired, 8 and 8 values"
    assert rows["torch eager", "", "tiny.Convergence.track_diverged"]["verdict"] == "now diverges"
    assert rows["numpy eager", "", "tiny.Convergence.track_steps_to_target"]["verdict"] == "equal"
    assert rows["", "", "tiny.track_size"]["how"] == "one number"
    assert "no numbers on both sides: 2" in done.err
    assert "not paired: seconds that were timed apart" in done.err


def test_fail_on(copied, asv_run, gradgauge):
    """Made-up samples, threefold at the second commit: what a busy machine measured is no part of it."""
    change(results_of(copied, asv_run.commits[0]), samples=steady(1.0))
    change(results_of(copied, asv_run.commits[1]), samples=steady(3.0))
    both = [commit[:8] for commit in asv_run.commits]
    slower = gradgauge("compare", *both, "--fail-on", "slower", cwd=copied)
    assert slower.returncode == 1
    assert re.search(r"^slower: torch eager, sgd, tiny\.Step\.time_step$", slower.err, re.MULTILINE)
    assert slower.out.count("slower") == 4
    assert gradgauge("compare", *reversed(both), "--fail-on", "slower", cwd=copied).returncode == 0
    assert gradgauge("compare", *reversed(both), "--fail-on", "any", cwd=copied).returncode == 1
    assert gradgauge("compare", *both, "--fail-on", "larger,missing", cwd=copied).returncode == 0
    wrong = gradgauge("compare", *both, "--fail-on", "slow", cwd=copied)
    assert wrong.returncode == 2
    assert "unknown verdict of --fail-on 'slow': did you mean 'slower'" in wrong.err


def test_a_failure_in_the_second_is_worse(copied, asv_run, gradgauge):
    change(results_of(copied, asv_run.commits[1]), result=lambda values: [None, *values[1:]])
    done = gradgauge("compare", "HEAD~1", "HEAD", "--fail-on", "worse", cwd=copied)
    assert done.returncode == 1
    assert f"now fails: numpy eager, adam, {STEP}" in done.err
    assert not re.search(r"\bnan\b", done.out)


def test_a_branch_may_have_a_separator_as_a_path_has(copied, gradgauge):
    subprocess.run(["git", "branch", "feature/one", "HEAD"], cwd=copied, check=True)
    assert gradgauge("compare", "HEAD~1", "feature/one", cwd=copied).returncode == 0


@pytest.mark.parametrize(
    ("intervals", "says"), [(0, "no intervals"), (1, "1 interval, 95 %"), (2, "2 intervals, 95 % for all together")]
)
def test_intervals_are_counted_in_english(intervals, says):
    assert tables.corrected(intervals) == f"B/A; {says}"


def test_a_commit_needs_four_characters_or_a_whole_name(copied, asv_run, gradgauge):
    first = asv_run.commits[0]
    assert gradgauge("compare", first[:4], "HEAD", cwd=copied).returncode == 0
    assert gradgauge("compare", first[:3], "HEAD", cwd=copied).returncode == 2
    subprocess.run(["git", "branch", "x", first], cwd=copied, check=True)
    assert gradgauge("compare", "x", "HEAD", cwd=copied).returncode == 0


def test_a_benchmark_that_changed_is_not_compared(copied, asv_run, gradgauge):
    change(results_of(copied, asv_run.commits[1]), version=lambda _: "another")
    done = gradgauge("compare", "HEAD~1", "HEAD", "--format", "json", cwd=copied)
    assert f"not compared, the benchmark itself changed: {STEP}" in done.err
    assert STEP not in {row["measure"] for row in json.loads(done.out)["compare"]}


def test_two_machines_and_two_environments(copied, asv_run, gradgauge):
    here = results_of(copied, asv_run.commits[1])
    raw = json.loads(here.read_text())
    there = here.parent.parent / "there" / here.name
    there.parent.mkdir()
    there.write_text(json.dumps(raw | {"params": raw["params"] | {"machine": "there"}}))
    done = gradgauge("compare", here, there, cwd=copied)
    assert done.returncode == 0, done.err
    assert "warning: two machines (here against there)" in done.err
    other = here.with_name(here.name.replace("existing-", "other-"))
    other.write_text(json.dumps(raw | {"env_name": "other", "requirements": {"torch": "2.12.0"}}))
    ambiguous = gradgauge("compare", "HEAD", "HEAD~1", cwd=copied)
    assert ambiguous.returncode == 2
    assert all(str(path.relative_to(copied)) in ambiguous.err for path in (here, there, other))
    by_machine = gradgauge("compare", f"HEAD:{raw['env_name']}:here", f"HEAD:{raw['env_name']}:there", cwd=copied)
    assert by_machine.returncode == 0, by_machine.err
    assert "warning: two machines (here against there)" in by_machine.err
    assert f"there are: {asv_run.commits[1][:8]}:" in gradgauge("compare", "HEAD::nowhere", "HEAD", cwd=copied).err
    chosen = gradgauge("compare", "HEAD~1", "HEAD:other", cwd=copied)
    assert chosen.returncode == 0, chosen.err
    assert "torch none → 2.12.0" in chosen.err


def test_a_file_brings_its_facts(copied, asv_run, gradgauge):
    one, other = (results_of(copied, commit) for commit in asv_run.commits)
    facts = copied / ".asv" / "results" / "facts"
    facts.mkdir()
    for path, cores in ((one, "1"), (other, "2")):
        (facts / f"{path.stem}.facts").write_text(json.dumps({"numpy": {"cores": cores, "BLAS": "OpenBLAS"}}))
    for sides in ((one, other), (one.relative_to(copied), other.relative_to(copied)), ("HEAD~1", "HEAD")):
        assert "numpy: cores 1 → 2\n" in gradgauge("compare", *sides, cwd=copied).err


def test_facts_of_one_side_only_are_no_other_machine(copied, asv_run, gradgauge):
    facts = copied / ".asv" / "results" / "facts" / "present-existing.facts"
    facts.parent.mkdir()
    facts.write_text(json.dumps({"numpy": {"machine": "a processor, 2 cores", "threads": "2"}}))
    done = gradgauge("compare", "HEAD~1", "HEAD", cwd=copied)
    assert done.returncode == 0, done.err
    assert "two machines" not in done.err
    (told,) = (line for line in done.err.splitlines() if line.startswith("unknown"))
    older = asv_run.commits[0][:8]
    assert told.startswith(f"unknown: what numpy had at {older}:existing") and "threads" in told
    assert f"unknown: what numpy had at {older}:" in gradgauge("compare", "HEAD", "HEAD~1", cwd=copied).err
    facts.unlink()
    assert "unknown: what" not in gradgauge("compare", "HEAD~1", "HEAD", cwd=copied).err


def test_results_that_cannot_be_read(copied, asv_run, gradgauge):
    one, other = (results_of(copied, commit) for commit in asv_run.commits)
    third = one.with_name("deadbeef-existing.json")
    third.write_text(one.read_text()[:200])
    told = gradgauge("compare", "HEAD~1", "HEAD", cwd=copied)
    assert told.returncode == 0
    assert "left out: cannot read .asv/results/here/deadbeef-existing.json: Error parsing JSON" in told.err
    other.write_text(other.read_text()[:200])
    for name in ("HEAD", asv_run.commits[1][:7], other):
        lost = gradgauge("compare", "HEAD~1", name, cwd=copied)
        assert lost.returncode == 3, lost.err
        assert f"{other.name}: Error parsing JSON" in lost.err
    for path in (one, other, third):
        path.unlink()
    mistyped = gradgauge("compare", "runs/typo", "HEAD", cwd=copied)
    assert mistyped.returncode == 2
    assert "runs/typo: there is no such run or file" in mistyped.err
    nothing = gradgauge("compare", "HEAD~1", "HEAD", cwd=copied)
    assert nothing.returncode == 3
    assert "holds no result that can be read" in nothing.err


def test_nothing_in_common_is_exit_code_3(copied, asv_run, gradgauge):
    one, other = (results_of(copied, commit) for commit in asv_run.commits)
    raw = json.loads(other.read_text())
    other.write_text(json.dumps(raw | {"results": {f"new.{name}": row for name, row in raw["results"].items()}}))
    done = gradgauge("compare", one, other)
    assert done.returncode == 3
    assert "have nothing in common" in done.err and "only in" in done.err


BAD = [
    (("nothing", "HEAD"), "nothing is no run, no file and no result in .asv/results; there are: "),
    (("0", "HEAD"), "0 is no run, no file, and too short for a commit: give 4 characters"),
    (("HEAD", ":existing"), ":existing is no run, no file, and too short for a commit"),
    (("HEAD", "HEAD:elsewhere"), "HEAD:elsewhere is no run, no file and no result"),
    ((".asv/results", "HEAD"), "is no run: it has no run.json. Of asv's results name one"),
    (("suite", "HEAD"), "is no run: it has no run.json. Runs are made by"),
    (("HEAD", "HEAD", "--results", "nowhere"), "there is no folder nowhere"),
    (("HEAD", "HEAD", "--margin", "-1"), "--margin"),
    (("HEAD", "HEAD", "--margin", "nan"), "--margin"),
    (("HEAD", "HEAD", "--margin", "inf"), "--margin"),
    (("runs/typo", "HEAD"), "runs/typo: there is no such run or file"),
    (("HEAD", "./typo"), "./typo: there is no such run or file"),
    (("/nowhere/typo", "HEAD"), "/nowhere/typo: there is no such run or file"),
    (("--help-me", "HEAD"), "--help-me"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_line_with_exit_code_2(arguments, says, asv_run, gradgauge):
    done = gradgauge("compare", *arguments, cwd=asv_run.folder)
    assert done.returncode == 2
    assert says in done.err
    assert len(done.err.splitlines()) == 1


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of the same study, and one of another rate."""
    folder = tmp_path_factory.mktemp("runs")
    line = [sys.executable, "-m", "harness.cli", "run", "functions", "--problem", "rosenbrock"]
    line += ["--steps", "5", "--backend", "numpy", "--seeds", "2"]
    for name, rate in (("a", 1e-4), ("b", 1e-4), ("other", 2e-4)):
        done = subprocess.run([*line, "--optimizer", f"sgd[lr={rate}]", "--out", name], cwd=folder, timeout=120)
        assert done.returncode == 0
    return folder


def test_the_same_run_twice_is_equal(runs, gradgauge):
    done = gradgauge("compare", "a", "b", "--format", "json", "--fail-on", "any,undecided", cwd=runs)
    assert done.returncode == 0, done.err
    found = json.loads(done.out)
    assert {row["verdict"] for row in found["compare"] if "loss" in row["measure"]} == {"equal"}
    assert {row["who"] for row in found["compare"]} == {"numpy"}
    assert "the same commit and environment on both sides" in found["notes"]


def test_two_hosts_of_one_kind_are_two_machines(runs, gradgauge, tmp_path):
    """And where a record does not tell its host, as those of before do not, nothing is said of it."""
    for name in ("here", "there", ""):
        shutil.copytree(runs / "a", tmp_path / (name or "before"))
        with Store.create(tmp_path / (name or "before"), {}) as store:
            for record in store.records():
                others = {fact: text for fact, text in record.facts.items() if fact != "host"}
                store.write(replace(record, facts={**others, "host": name} if name else others))
    done = gradgauge("compare", "here", "there", cwd=tmp_path)
    assert done.returncode == 0, done.err
    assert "warning: two machines (here against there)" in done.err
    assert "the same commit" not in done.err
    for other in ("here", "before"):
        assert "warning" not in gradgauge("compare", "here", other, cwd=tmp_path).err
    assert Store.open(runs / "a").told("host") == {platform.node()} - {""}


def test_paces_of_two_hosts_are_not_comparable(monkeypatch):
    """The same cores by name: three processes a side, over their paces on one host, but not over those of two."""
    key = Key("numpy", "rosenbrock", "step time")
    timed = Measurement(SECONDS, dict(enumerate([1.0] * 8)), processes=(1.0, 1.0, 1.0), pace="a pace")
    sides = {name: Side(name, Measured({key: timed}, {})) for name in ("a", "b")}
    monkeypatch.setattr(comparison, "side", lambda asked, _: sides[asked])
    for hosts, how in (({"a": "here", "b": "here"}, "processes"), ({"a": "here", "b": "there"}, "not paired")):
        monkeypatch.setattr(comparison, "_hosts", lambda one, hosts=hosts: hosts[one.name])
        (found,) = comparison.compare("a", "b", Path(), 0.025).compared.comparisons
        assert how in found.how


def test_runs_of_other_recipes_have_nothing_in_common(runs, gradgauge):
    done = gradgauge("compare", "a", "other", cwd=runs)
    assert done.returncode == 3
    assert "only in a: 2: numpy, rosenbrock: sgd[lr=0.0001]" in done.err


def test_a_damaged_record_is_told_and_the_others_are_compared(runs, gradgauge, tmp_path):
    shutil.copytree(runs / "a", tmp_path / "damaged")
    every = sorted((tmp_path / "damaged" / "jobs").iterdir())
    every[0].write_bytes(every[0].read_bytes()[:200])
    done = gradgauge("compare", tmp_path / "damaged", runs / "b", "--format", "json")
    assert done.returncode == 0, done.err
    assert f"left out: cannot use {every[0]}: " in done.err
    assert json.loads(done.out)["compare"]
    page = gradgauge("report", tmp_path / "damaged")
    assert page.returncode == 0, page.err
    assert "1 record cannot be read" in (tmp_path / "damaged" / "report.md").read_text()
    assert str(every[0]) in (tmp_path / "damaged" / "unreadable.csv").read_text()
    for path in every:
        path.write_bytes(b"")
    for line in (("compare", runs / "b", tmp_path / "damaged"), ("report", tmp_path / "damaged")):
        nothing = gradgauge(*line)
        assert nothing.returncode == 3, nothing.err
        assert f"cannot use {every[0]}: " in nothing.err


def test_a_report_takes_what_is_given_twice_once(runs, gradgauge, tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr("harness.report.write", lambda runs, folder: taken.append((runs, folder)) or folder)
    assert gradgauge("report", "b", "a", f"{runs}/b", "./a", cwd=runs).returncode == 0
    assert taken == [([Path("b"), Path("a")], Path("b"))]


def test_a_run_whose_mark_is_damaged_is_told_beside_others(runs, gradgauge, tmp_path):
    shutil.copytree(runs / "a", tmp_path / "damaged")
    (tmp_path / "damaged" / "run.json").write_text('{"schema": 1, ')
    beside = gradgauge("report", tmp_path / "damaged", runs / "b", "--out", tmp_path / "page")
    assert beside.returncode == 0, beside.err
    assert f"cannot use {tmp_path / 'damaged' / 'run.json'}: " in (tmp_path / "page" / "unreadable.csv").read_text()
    alone = gradgauge("report", tmp_path / "damaged")
    assert alone.returncode == 3
    assert "run.json: Input data was truncated" in alone.err
    against = gradgauge("compare", runs / "b", tmp_path / "damaged")
    assert against.returncode == 3 and "run.json: Input data was truncated" in against.err
    shutil.rmtree(tmp_path / "damaged" / "jobs")
    shutil.copy(runs / "a" / "run.json", tmp_path / "damaged")
    assert gradgauge("report", tmp_path / "damaged", runs / "b", "--out", tmp_path / "page").returncode == 0
    assert f"{tmp_path / 'damaged'} holds no record" in (tmp_path / "page" / "unreadable.csv").read_text()
    typo = gradgauge("report", runs / "b", tmp_path / "typo", "--out", tmp_path / "page")
    assert typo.returncode == 2 and "is no run" in typo.err


def test_a_run_and_a_result_of_asv_are_two_things(runs, asv_run, gradgauge):
    done = gradgauge("compare", runs / "a", asv_run.commits[0], "--results", asv_run.results)
    assert done.returncode == 2
    assert "compare two of a kind" in done.err
