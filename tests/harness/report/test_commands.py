"""The lines of a report, read by the command line itself: each selects what it stands beside."""

import shlex
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from harness import cli, studies
from harness import study as selections
from harness.report import commands, page, write
from harness.report.material import read
from harness.spec.base import key, to_json
from harness.store import Record, Store
from harness.study import overridden


class Asked(Exception):
    """What a line selects, in the place of running it."""


@pytest.fixture
def selected(monkeypatch):
    """The keys that a line selects, as the command line understands it."""

    def select(study, threads, pythons):
        raise Asked(selections.select(study, threads, pythons))

    def keys(line):
        program, verb, *words = shlex.split(line)
        assert program == "gradgauge"
        if verb == "replay":
            assert Store.open(Path(words[0])).status(words[1])
            return {words[1]}
        with monkeypatch.context() as patched, pytest.raises(Asked) as asked:
            patched.setattr(cli, "select", select)
            cli.app([verb, *words], standalone_mode=False)
        return {key(job) for job in asked.value.args[0].jobs}

    return keys


def unrun(folder, study, line=None, threads=1):
    """A run of a study's jobs, or of some of many, that all failed: a line does not depend on what came out."""
    words = shlex.split(line)[1:] if line else None
    jobs = selections.select(study, threads).jobs
    with Store.create(folder, {"study": msgspec.json.decode(to_json(study)), "line": words}) as store:
        store.write(*(Record(job, "failed", "made up") for job in jobs[:: 1 + len(jobs) // 60]))
    return folder


def asked(name, **changes):
    return overridden(studies.STUDIES[name], **changes)


NUMPY = {"backends": ("numpy",), "optimizers": ("sgd[lr=0.1]", "heavy_ball[lr=[0.1,0.01]]")}
STUDIES = {
    "gradgauge run quickstart --optimizer 'sgd[lr=0.1],heavy_ball[lr=[0.1,0.01]]' --backend numpy": asked(
        "quickstart", **NUMPY
    ),
    "gradgauge run quickstart --problem cube-2x2x2 --optimizer sgd --clip none --backend numpy --seeds 1 --epochs 7": (
        asked(
            "quickstart",
            problems=("cube-2x2x2",),
            backends=("numpy",),
            optimizers=("sgd",),
            clips=("none",),
            seeds=1,
            epochs=7,
        )
    ),
    "gradgauge run functions --backend numpy --precision float32 --precision float64 --steps 3": asked(
        "functions", backends=("numpy",), precisions=("float32", "float64"), steps=3
    ),
    "gradgauge agree --backend numpy": studies.agreement("short", ("numpy",)),
    "gradgauge agree --all --backend numpy --optimizer sgd": studies.agreement("pairs", ("numpy",), ("sgd",)),
}


@pytest.mark.parametrize("line", STUDIES)
def test_a_line_selects_just_what_the_run_was_made_from(line, tmp_path, monkeypatch, selected):
    monkeypatch.chdir(tmp_path)
    run = unrun(Path("run"), STUDIES[line], line)
    material = read([run], run)
    assert commands.again(material, material.records) == ((line,), "")
    keys = selected(line)
    assert keys == set(material.keyed) if len(keys) < 60 else keys > set(material.keyed)
    assert commands.files(material) == {}


def test_threads_are_told(tmp_path, monkeypatch, selected):
    monkeypatch.chdir(tmp_path)
    beale = asked("functions", backends=("numpy",), problems=("beale",))
    run = unrun(Path("run"), beale, "gradgauge run functions --problem beale --backend numpy", threads=2)
    material = read([run], run)
    ((line,), _) = commands.again(material, material.records)
    assert line == "gradgauge run functions --problem beale --backend numpy --threads 2"
    assert selected(line) == set(material.keyed)


def test_each_of_several_folders_has_the_line_of_its_own_records(tmp_path, monkeypatch, selected):
    """Given in either order; a figure shows the lines of the runs that it shows, and no other."""
    monkeypatch.chdir(tmp_path)
    line = "gradgauge run functions --backend numpy --problem"
    one = unrun(Path("one"), asked("functions", backends=("numpy",), problems=("beale",)), f"{line} beale")
    rosenbrock = asked("functions", backends=("numpy",), problems=("rosenbrock",), steps=5)
    other = unrun(Path("other"), rosenbrock, f"{line} rosenbrock --steps 5")
    for runs in ([one, other], [other, one]):
        material = read(runs, one)
        lines = commands.again(material, material.records).lines
        assert set().union(*map(selected, lines)) == set(material.keyed) and len(lines) == 2
        own = [record for record in material.records if material.folders[record.key] == "other"]
        assert commands.again(material, own).lines == (f"{line} rosenbrock --steps 5",)


def test_a_study_without_a_name_is_told_by_a_file_beside_the_page(tmp_path, monkeypatch, selected):
    monkeypatch.chdir(tmp_path)
    mine = msgspec.structs.replace(asked("functions", backends=("numpy",), steps=3), name="my study")
    runs = [unrun(Path("one"), mine), unrun(Path("other"), overridden(mine, steps=4))]
    write(runs, Path("page"))
    material = read(runs, Path("page"))
    lines = commands.again(material, material.records).lines
    assert lines == ("gradgauge run page/study-my-study-2.toml", "gradgauge run page/study-my-study.toml")
    assert set().union(*map(selected, lines)) == set(material.keyed)


def test_a_record_that_its_folder_s_study_does_not_select_is_counted(tmp_path, monkeypatch):
    """Records may be copied between runs: no line is printed that would not make them."""
    monkeypatch.chdir(tmp_path)
    line = "gradgauge run functions --problem beale --backend numpy"
    run = unrun(Path("run"), asked("functions", backends=("numpy",), problems=("beale",)), line)
    job = next(Store.open(run).records()).job
    with Store.create(run, Store.open(run).about()) as store:
        strays = [Record(replace(job, cell=replace(job.cell, seed=seed)), "failed", "copied") for seed in (5, 6)]
        store.write(*strays)
    material = read([run], run)
    found = commands.again(material, material.records)
    assert found.lines == (line,)
    assert found.words.startswith("2 records of no known selection")
    assert commands.again(material, strays).lines == ()


def test_every_line_of_a_page_makes_the_records_that_it_stands_beside(small_run, monkeypatch, selected):
    monkeypatch.chdir(small_run.parent)
    write([Path("small")], Path("lines"))
    material = read([Path("small")], Path("lines"))
    shown = []

    def spy(material, records, again=commands.again):
        every = list(records)
        shown.append(({record.key for record in every}, again(material, every)))
        return shown[-1][1]

    monkeypatch.setattr(commands, "again", spy)
    for section in (*page.OF_RUNS, *page.OF_ALL):
        section(material)
    strays = {record.key for record in material.records if record.job.measure.spelling() == "first_call"}
    assert len(shown) > 8
    for records, again in shown:
        made = set().union(*map(selected, again.lines))
        assert records - strays <= made
        assert (records <= made) == (not again.words)


def test_a_folder_is_told_from_the_working_directory_or_else_as_it_was_given(small_run, tmp_path, monkeypatch):
    monkeypatch.chdir(small_run.parent)
    for given, told in ((small_run, "small"), (Path("small"), "small")):
        material = read([given], given)
        record = next(iter(material.keyed))
        assert commands.replay(material, record) == f"gradgauge replay {told} {record}"
    monkeypatch.chdir(tmp_path)
    material = read([small_run], small_run)
    assert commands.replay(material, record) == f"gradgauge replay {small_run.as_posix()} {record}"
