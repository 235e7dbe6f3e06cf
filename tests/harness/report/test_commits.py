"""The page from a real asv's results, alone and beside a run: its words and numbers against the files themselves."""

import contextlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness import asv_results
from harness.errors import NothingMeasured
from harness.judge.kinds import BYTES, SECONDS, Key, Measurement
from harness.judge.speed import APART, MARGIN, Interval
from harness.report import commits, commits_tables, write
from harness.report.contenders import COLOURS, SERIES
from harness.report.tracked import Tracked

STEP, DIVERGED = "tiny.Step.time_step", "tiny.Convergence.track_diverged"


@pytest.fixture(scope="module")
def folder(asv_run, tmp_path_factory):
    """A folder with the results, one file of which is broken, and their report."""
    folder = tmp_path_factory.mktemp("page")
    results = folder / ".asv" / "results"
    shutil.copytree(asv_run.results, results)
    (whole,) = (results / "here").glob(f"{asv_run.commits[0][:8]}-*.json")
    (results / "here" / "deadbeef-existing.json").write_text(whole.read_text()[:100])
    (results / "facts").mkdir()
    (results / "facts" / "present-existing.facts").write_text(json.dumps({"torch": {"BLAS": "<MKL>"}}))
    with contextlib.chdir(folder):
        write([Path(".asv/results")], Path("report"))
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report" / "report.html").read_text()


def csv(folder, name):
    return pd.read_csv(folder / "report" / f"{name}.csv", keep_default_na=False, na_values=["nan"])


def raw(folder, commit):
    (path,) = (folder / ".asv" / "results" / "here").glob(f"{commit[:8]}-*.json")
    return json.loads(path.read_text())


def samples(folder, commit, place):
    one = raw(folder, commit)
    return one["results"][STEP][one["result_columns"].index("samples")][place]


def test_a_page_of_asvs_alone_has_its_own_sections_only(page, folder):
    assert re.findall(r'<section id="(\w+)"', page) == ["summary", "commits", "troubles", "environment"]
    assert "<h1>asv results</h1>" in page
    written = {path.name for path in (folder / "report").iterdir()}
    kinds = ("newest", "changes", "commits", "troubles", "environment")
    assert written == {"report.html", "report.md", *(f"asv-{kind}.csv" for kind in kinds)}


def test_frameworks_side_by_side_on_the_newest_commit(folder, asv_run):
    table = csv(folder, "asv-newest")
    assert set(table.commit) == {asv_run.commits[1]}
    step = table[(table.benchmark == STEP) & (table.parameters == "sgd")].set_index("contender")
    found = {who: np.log(samples(folder, asv_run.commits[1], place)) for who, place in (("numpy", 1), ("torch", 3))}
    expected = np.exp(abs(np.median(found["torch"]) - np.median(found["numpy"])))
    ratio = pd.to_numeric(step.ratio, errors="coerce").dropna()
    assert len(ratio) == 1  # the lowest has none, nor has what failed
    assert ratio.iloc[0] == pytest.approx(expected)
    assert step.failed["jax jit"] == "failed"
    peak = table[table.benchmark == "tiny.Memory.track_peak_host_bytes"].set_index("contender")
    assert float(peak.ratio["torch eager"]) == 2 and peak.over["torch eager"] == "numpy eager"


def test_every_value_over_commits_is_in_the_csv(folder, asv_run):
    table = csv(folder, "asv-commits")
    own = table[(table.benchmark == STEP) & (table.contender == "numpy eager") & (table.parameters == "adam")]
    assert list(own.commit) == asv_run.commits
    for commit, value in zip(own.commit, own.value.astype(float), strict=True):
        assert value == pytest.approx(raw(folder, commit)["results"][STEP][0][0])


def test_each_benchmark_with_two_commits_is_drawn(page):
    # Each with its quantity and at least one contender that has a number at both commits.
    drawn = re.findall(r"<title[^>]*>([\w.]+) over commits, ", page)
    assert set(drawn) == {STEP, DIVERGED, "tiny.Memory.track_peak_host_bytes", "tiny.track_size",
                          "tiny.Convergence.track_steps_to_target"}  # fmt: skip
    assert drawn.count(STEP) == 2  # adam and sgd


def test_commits_are_judged_by_the_margins_of_compare(folder):
    told = rf"shown, \d+ equal, .* by {100 * APART:g} %, all else by {100 * MARGIN:g} %\."
    assert re.search(told, (folder / "report" / "report.md").read_text())


def test_what_is_undecided_is_told_as_its_sign_is_set(folder):
    """Of a clock and without an interval: u. What repeats, and without an interval: no sign."""
    words = (folder / "report" / "report.md").read_text()
    assert "what repeats exactly has no interval and no sign" in words
    few, number = Measurement(SECONDS, {0: 1.0, 1: 2.0}), Measurement(BYTES, {0: 2000.0}, noisy=False)
    assert commits_tables._cell(SECONDS, few, 1.0, Interval(1.5)).light == "×1.50 u"
    assert commits_tables._cell(BYTES, number, 1.0, Interval(2.0)).light == "×2.00"


def test_a_change_beyond_the_margin_of_compare_is_told(folder, asv_run, tmp_path):
    """Both commits' step times are made up: the second's are 11 % longer, which nothing but the margin may hide."""
    copy = tmp_path / ".asv" / "results"
    shutil.copytree(folder / ".asv" / "results", copy)
    for threads, (commit, factor) in enumerate(zip(asv_run.commits, (1, 1.11), strict=True), 1):
        (path,) = (copy / "here").glob(f"{commit[:8]}-*.json")
        (copy / "facts" / f"{path.stem}.facts").write_text(json.dumps({"numpy": {"threads": threads}}))
        one = json.loads(path.read_text())
        place = one["result_columns"].index("samples")
        times = [factor * (1 + 1e-5 * n) for n in range(8)]
        one["results"][STEP][place] = [times if old else old for old in one["results"][STEP][place]]
        path.write_text(json.dumps(one))
    words = write([copy], tmp_path).with_name("report.md").read_text()
    assert "What they were measured with changed: numpy: threads 1 → 2." in words
    changes = pd.read_csv(tmp_path / "asv-changes.csv", keep_default_na=False)
    verdicts = changes[changes.benchmark == STEP].verdict
    assert len(verdicts) and set(verdicts) == {"slower"}


def test_what_changed_failed_and_cannot_be_read_is_told(folder, asv_run):
    words = (folder / "report" / "report.md").read_text()
    assert re.search(
        r"\*\*Over commits, asv on here\.\*\* \*\*[1-9]\d* worse, \d+ better\*\* of \d+ comparisons", words
    )
    changes = csv(folder, "asv-changes").set_index(["benchmark", "contender"])
    assert changes.verdict[DIVERGED, "torch eager"] == "now diverges"
    troubles = csv(folder, "asv-troubles")
    assert set(zip(troubles.status, troubles.contender, troubles.parameters, strict=True)) == {
        ("cannot be read", "", ""),
        ("failed", "jax jit", "sgd"),
        ("failed", "torch eager", ""),
        ("diverged", "torch eager", ""),
    }
    assert "**1 file of asv's cannot be read, or not wholly:** .asv/results/here/deadbeef-existing.json" in words
    assert str(folder) not in words


def test_circumstances_that_only_the_newest_tells_are_unknown_before(folder, asv_run):
    words = (folder / "report" / "report.md").read_text()
    older, newest = (commit[:8] for commit in asv_run.commits)
    assert f"**Unknown what torch had at {older}** in existing" in words
    assert f"had at {newest}" not in words


def test_facts_are_shown_and_escaped(page, folder):
    told = csv(folder, "asv-environment").set_index("fact")
    assert told.value["BLAS"] == "<MKL>"
    assert "&lt;MKL&gt;" in page and "<MKL>" not in page


def test_nothing_is_asked_of_the_network_and_ids_do_not_collide(page):
    assert not re.findall(r"https?://|//cdn|@import|<link|<iframe|<script src", page)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_the_same_results_give_the_same_bytes(folder):
    with contextlib.chdir(folder):
        write([Path(".asv/results")], Path("again"))
    for path in (folder / "report").iterdir():
        assert path.read_bytes() == (folder / "again" / path.name).read_bytes(), path.name


def test_beside_a_run(folder, small_run):
    with contextlib.chdir(folder):
        words = write([small_run, Path(".asv/results")], Path("both")).with_name("report.md").read_text()
    assert "\n## Speed\n" in words and "\n## Over commits\n" in words
    assert (folder / "both" / "records.csv").is_file()
    assert "deadbeef-existing.json" in words


def test_empty_results_are_told_beside_others_and_nothing_is_left_of_them_alone(folder, tmp_path):
    empty = tmp_path / ".asv" / "results"
    empty.mkdir(parents=True)
    with pytest.raises(NothingMeasured, match="holds no record.*it holds no result that can be read: asv run makes"):
        write([empty], tmp_path)
    page = write([folder / ".asv" / "results", empty], tmp_path)
    assert "it holds no result that can be read" in page.with_name("report.md").read_text()


def test_one_commit_has_nothing_to_be_compared_with(folder, asv_run, tmp_path):
    alone = tmp_path / ".asv" / "results"
    shutil.copytree(folder / ".asv" / "results", alone)
    for path in (alone / "here").glob(f"{asv_run.commits[0][:8]}-*.json"):
        path.unlink()
    words = write([alone], tmp_path).with_name("report.md").read_text()
    assert "One commit: nothing to compare it with." in words
    assert not (tmp_path / "asv-changes.csv").exists()


def test_one_contender_in_two_environments_and_two_machines(folder, asv_run, tmp_path):
    copy = tmp_path / ".asv" / "results"
    shutil.copytree(folder / ".asv" / "results", copy)
    (path,) = (copy / "here").glob(f"{asv_run.commits[1][:8]}-*.json")
    one = json.loads(path.read_text())
    path.with_name("other.json").write_text(json.dumps(one | {"env_name": "other"}))
    (copy / "there").mkdir()
    (copy / "there" / path.name).write_text(json.dumps(one | {"params": {"machine": "there"}}))
    write([copy], tmp_path)
    table = pd.read_csv(tmp_path / "asv-newest.csv")
    assert {"here", "there"} == set(table.machine)
    here = table[(table.machine == "here") & (table.benchmark == STEP) & (table.parameters == "adam")]
    assert {"numpy eager (other)", "torch eager (other)"} < set(here.contender)
    assert {"numpy eager", "torch eager"} == set(
        table[(table.machine == "there") & (table.benchmark == STEP) & (table.parameters == "adam")].contender
    )


def test_who_was_not_measured_on_the_newest_commit_has_no_row_there(asv_run):
    """As one environment's contenders where another was measured since."""
    old, new = asv_results.read(asv_run.results).found
    machine = Tracked([replace(old, environment="other"), new], []).machines[0]
    (step,) = (track for track in machine.tracks if track.benchmark.name == STEP)
    assert any("other" in who for who in step.who)
    shown = commits_tables.newest(machine, step, "n", 0.95)
    assert not any("other" in heading for heading in (column.name for column in shown.columns))
    assert not any("other" in entry.text for row in shown.rows for entry in row)


def test_the_lowest_is_so_by_what_ratios_are_made_of():
    """Means of 1 and 9 and of 4 and 5 are 5 and 4.5; by logarithms, of which ratios are made, 3 and √20: ×1.49."""
    wide, narrow = (Measurement(SECONDS, dict(enumerate(values))) for values in ((1.0, 9.0), (4.0, 5.0)))
    assert wide.median > narrow.median
    assert commits_tables.middle(wide) == pytest.approx(3)
    assert commits_tables.middle(narrow) == pytest.approx(20**0.5)
    assert commits_tables.middle(Measurement(SECONDS, {0: 0.0, 1: 2.0})) == 1.0  # which have no logarithm


@pytest.mark.parametrize(("factor", "said"), [(1.11, "numpy eager 2 of 2"), (1.05, "undecided 2"), (None, None)])
def test_who_is_fastest_takes_an_interval_and_the_margin(factor, said, asv_run):
    """Made-up times within a part in ten thousand; None: one number of seconds each, which has no interval."""
    one = asv_results.read(asv_run.results).found[-1]
    entries = {}
    for key, entry in one.entries.items():
        if key.measure == STEP and not entry.skipped and key.who != "jax jit":
            times = [
                (factor or 2.0 if key.who == "torch eager" else 1.0) * (1 + 1e-5 * n) for n in range(8 if factor else 1)
            ]
            entries[key] = entry._replace(measurement=Measurement(SECONDS, dict(enumerate(times))))
    machine = Tracked([replace(one, entries=entries)], []).machines[0]
    found = commits._fastest(machine, machine.tracks[0])
    assert (None if found is None else found.light) == said


def test_environments_are_named_by_what_tells_them_apart(asv_run):
    """And a contender that one of several measured needs none of their names."""
    one = asv_results.read(asv_run.results).found[-1]
    entry = next(e for e in one.entries.values() if not e.skipped)
    skipped = entry._replace(contender="torch eager", skipped=True)
    both = {Key(e.contender, "", "b"): e for e in (entry._replace(contender="jax jit"), skipped)}
    torch = {Key("torch eager", "", "b"): skipped._replace(skipped=False)}
    environments = {"existing-py_bin": torch, "virtualenv-py3.11-jax1": both, "virtualenv-py3.11-jax2-torch": both}
    found = Tracked([replace(one, environment=name, entries=some) for name, some in environments.items()], [])
    assert set(found.trackers) == {"jax jit (virtualenv-jax1)", "jax jit (virtualenv-jax2-torch)", "torch eager"}
    assert found.machines[0].tracks[0].at("", "torch eager", one.commit).result.environment == "existing-py_bin"


def test_every_contender_of_the_suite_has_a_colour_of_its_own(asv_run):
    one = asv_results.read(asv_run.results).found[-1]
    modes = ["eager", "single", "foreach", "fused", "compile"]
    who = [
        "numpy eager",
        *(f"torch {mode}" for mode in modes),
        "tensorflow graph",
        "tensorflow xla",
        "jax jit",
        "jax x",
    ]
    entry = next(iter(one.entries.values()))
    entries = {Key(name, "", "b"): entry._replace(contender=name) for name in who}
    trackers = Tracked([replace(one, entries=entries)], []).trackers
    assert next(iter(trackers)) == "numpy eager" and trackers["numpy eager"].series == COLOURS["numpy"]
    assert sorted(tracker.series for tracker in trackers.values()) == list(range(SERIES))


def test_what_the_newest_results_do_not_share_is_told(folder, asv_run, tmp_path):
    """One benchmark of another version, then all of them: what cannot be compared is counted."""
    copy = tmp_path / ".asv" / "results"
    shutil.copytree(folder / ".asv" / "results", copy)
    (path,) = (copy / "here").glob(f"{asv_run.commits[1][:8]}-*.json")
    one = json.loads(path.read_text())
    place = one["result_columns"].index("version")
    one["results"][STEP][place] = "another"
    path.write_text(json.dumps(one))
    words = write([copy], tmp_path).with_name("report.md").read_text()
    assert re.search(r"of \d+ comparisons? \(\d+ undecided\).*Not compared: 1 benchmark of another version", words)
    for found in one["results"].values():
        found[place] = "another"
    path.write_text(json.dumps(one))
    words = write([copy], tmp_path).with_name("report.md").read_text()
    assert re.search(rf"\*\*Nothing in common:\*\* .*{len(one['results'])} benchmarks of another version", words)
