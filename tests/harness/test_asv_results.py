"""What asv wrote is read as it is written: held against the JSON itself. Broken files are the real ones, broken."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness import asv_results
from harness.judge.compare import compare
from harness.judge.kinds import DIVERGED, LEVEL, SECONDS, Key

STEP, BYTES = "tiny.Step.time_step", "tiny.Memory.track_peak_host_bytes"


@pytest.fixture
def copied(asv_run, tmp_path):
    """A copy of the real results that may be broken, and the file of the newest commit."""
    shutil.copytree(asv_run.results, tmp_path / ".asv" / "results")
    (newest,) = (tmp_path / ".asv" / "results" / "here").glob(f"{asv_run.commits[1][:8]}-*.json")
    return newest


def folder(path):
    return path.parent.parent


def read(path):
    return asv_results.read(folder(path))


def test_both_commits_are_read_oldest_first(asv_run):
    found = asv_results.read(asv_run.results)
    assert [one.commit for one in found.found] == asv_run.commits
    assert {one.machine for one in found.found} == {"here"}
    assert not found.unreadable


def test_samples_units_and_parameters_are_those_of_the_file(copied):
    raw = json.loads(copied.read_text())
    columns = dict(zip(raw["result_columns"], raw["results"][STEP], strict=False))
    entries = read(copied).found[-1].entries
    for place, (contender, optimizer) in enumerate(
        (c, o) for c in ("numpy eager", "torch eager") for o in ("adam", "sgd")
    ):
        entry = entries[Key(contender, optimizer, STEP)]
        assert list(entry.measurement.values.values()) == columns["samples"][place]
        assert entry.measurement.kind is SECONDS and entry.measurement.noisy
    assert entries[Key("torch eager", "", BYTES)].measurement.values == {0: 2000.0}
    assert entries[Key("", "", "tiny.track_size")].measurement.kind == LEVEL
    assert entries[Key("torch eager", "", "tiny.Convergence.track_diverged")].measurement.kind is DIVERGED


def test_what_failed_and_what_was_skipped_are_told_apart(asv_run):
    found = asv_results.read(asv_run.results).found[-1]
    skipped, failed = Key("jax jit", "adam", STEP), Key("jax jit", "sgd", STEP)
    assert found.entries[skipped].skipped and skipped not in found.measurements
    assert found.measurements[failed].failed == "failed" and not found.measurements[failed].values


def test_without_samples_there_are_quartiles(copied):
    raw = json.loads(copied.read_text())
    row = raw["results"][STEP]
    columns = raw["result_columns"]
    low, high, repeats = (row[columns.index(f"stats_{name}")][0] for name in ("q_25", "q_75", "repeat"))
    del row[columns.index("samples") :]
    copied.write_text(json.dumps(raw))
    one = read(copied).found[-1].entries[Key("numpy eager", "adam", STEP)].measurement
    assert one.quartiles == (low, high, repeats)
    assert list(one.values.values()) == [row[0][0]]


def broken(path, kind):
    text = path.read_text()
    raw = json.loads(text)
    path.write_text(
        {
            "truncated": text[: len(text) // 2],
            "empty": "",
            "newer": json.dumps(raw | {"version": 3}),
            "older": json.dumps(raw | {"version": 1}),
            "other": json.dumps({"version": 2, "hello": "world"}),
            "list": "[]",
            "number": "12",
            "no results": json.dumps(raw | {"results": None}),
            "no columns": json.dumps(raw | {"results": {STEP: 5}}),
            "words": json.dumps(raw | {"date": "yesterday"}),
        }[kind]
    )


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("truncated", "Error parsing JSON"),
        ("empty", "Error parsing JSON"),
        ("newer", "newer than what this version of asv understands"),
        ("older", "asv update"),
        ("other", "missing key"),
        ("list", "No version specified"),
        ("number", "it is no result of asv's"),
        ("no results", "it is no result of asv's"),
        ("no columns", "it is no result of asv's"),
        ("words", "it is no result of asv's"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_the_others_are_read(kind, says, copied):
    broken(copied, kind)
    found = read(copied)
    assert len(found.found) == 1
    ((path, reason),) = found.unreadable
    assert path == copied
    assert says in reason
    assert str(copied.parent) not in reason


HUGE, DEEP = str(10**400), "[" * 100_000


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"date": ', '"date": Infinity, "was": '),
        (f'"{STEP}": [[', f'"{STEP}": [[{HUGE}, '),
        ('"samples"', f'"samples", {DEEP}'),
    ],
    ids=["an infinite date", "a number that no float holds", "brackets without end"],
)
def test_numbers_and_brackets_beyond_measure_are_no_bug_of_ours(before, after, copied):
    text = copied.read_text()
    assert before in text
    copied.write_text(text.replace(before, after, 1))
    found = read(copied)
    assert [path for path, _ in found.unreadable] == [copied] and len(found.found) == 1


def test_parameters_that_are_no_text_are_shown_as_text(copied):
    raw = json.loads(copied.read_text())
    raw["results"][BYTES][1] = [[1.5, True]]
    copied.write_text(json.dumps(raw))
    assert {key.who for key in read(copied).found[-1].entries if key.measure == BYTES} == {"1.5", "True"}


@pytest.mark.parametrize(
    ("name", "unit", "verdict"),
    [
        ("tiny.First.track_import", "seconds", "undecided"),
        ("tiny.Memory.track_peak_host_bytes", "bytes", "undecided"),
        ("tiny.Looking.track_cost", "seconds per second of plain training", "undecided"),
        ("tiny.Memory.track_state_bytes", "bytes", "larger"),
        ("tiny.Convergence.track_loss", "loss", "higher"),
    ],
)
def test_one_number_decides_only_what_repeats(name, unit, verdict, copied):
    """Seconds of a first call or to a target and the peak of memory are other numbers at each run."""
    table = folder(copied) / "benchmarks.json"
    known = json.loads(table.read_text())
    table.write_text(json.dumps(known | {name: known[BYTES] | {"name": name, "unit": unit}}))
    raw = json.loads(copied.read_text())
    raw["results"][name] = raw["results"][BYTES]
    copied.write_text(json.dumps(raw))
    key = Key("torch eager", "", name)
    found = read(copied).found[-1].entries[key].measurement
    twice = replace(found, values={0: 2 * found.median})
    (one,) = compare({key: found}, {key: twice}, 0.05).comparisons
    assert one.verdict.words == verdict


@pytest.mark.parametrize("kind", ["missing", "truncated", "newer"])
def test_without_the_table_of_benchmarks_names_tell_units(kind, copied):
    table = folder(copied) / "benchmarks.json"
    if kind == "missing":
        table.unlink()
    else:
        broken(table, kind)
    found = read(copied)
    assert [path for path, _ in found.unreadable] == [table]
    assert found.found[-1].entries[Key("torch eager", "sgd", STEP)].measurement.kind is SECONDS


def test_facts_belong_to_their_commit_and_environment(copied):
    told = folder(copied) / "facts" / f"{copied.stem}.facts"
    told.parent.mkdir()
    told.write_text(json.dumps({"torch": {"threads": 1, "BLAS": "MKL"}}))
    found = read(copied)
    assert len(found.found) == 2 and not found.unreadable
    assert found.found[-1].facts["torch"] == {"threads": "1", "BLAS": "MKL"}
    assert "torch" not in found.found[0].facts
    told.rename(told.with_name("present-existing.facts"))
    assert ["torch" in one.facts for one in read(copied).found] == [False, True]  # that which was measured last
    told.with_name("present-existing.facts").write_text(json.dumps({"torch": {"threads": 1}, "tensorflow": {}}))
    assert "tensorflow" not in read(copied).found[-1].facts  # of a run at another commit: this one has no such numbers
    told.write_text("[1")
    assert [path for path, _ in read(copied).unreadable] == [told]


def test_a_value_that_is_not_finite_stays_what_it_is(copied):
    raw = json.loads(copied.read_text())
    raw["results"][BYTES][0] = [math.inf, 2000]
    copied.write_text(json.dumps(raw))
    assert read(copied).found[-1].entries[Key("numpy eager", "", BYTES)].measurement.median == math.inf


def test_which_folders_are_asvs(asv_run, tmp_path):
    assert asv_results.is_results(asv_run.results)
    empty = tmp_path / ".asv" / "results"
    empty.mkdir(parents=True)
    assert asv_results.is_results(empty)
    assert not asv_results.is_results(tmp_path)
    assert not asv_results.is_results(Path("no such folder"))


def test_what_the_table_of_benchmarks_does_not_list_is_told_and_decides_nothing(copied):
    """asv writes the table anew at each run, of what it has found then: after ``bench`` nothing of ``bench-all``."""
    table = folder(copied) / "benchmarks.json"
    known = json.loads(table.read_text())
    del known[BYTES]
    table.write_text(json.dumps(known))
    found = read(copied)
    ((path, reason),) = found.unreadable
    assert path == table and reason.startswith(f"it does not list {BYTES}: ")
    key = Key("torch eager", "", BYTES)
    one = found.found[-1].entries[key].measurement
    (judged,) = compare({key: one}, {key: replace(one, values={0: 2 * one.median})}, 0.05).comparisons
    assert judged.verdict.words == "undecided"
    result, told = asv_results.read_file(copied)
    assert result.entries.keys() == found.found[-1].entries.keys() and told == found.unreadable
