"""The report of a small real run: what is written, that it repeats to the byte, and what its words say."""

import io
import platform
import re
import shutil
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from msgspec.structs import replace

from harness.errors import NothingMeasured
from harness.report import canvas, timed, write
from harness.report import page as page_
from harness.report.material import read
from harness.report.words import number, rates
from harness.spec.job import Agreement, Convergence, FirstCall, Speed
from harness.spec.optimizers import SGD, Adam
from harness.spec.recipe import L1L2, Coupled, GlobalNorm, Recipe
from harness.spec.schedules import Exponential
from harness.store import Store
from harness.study import Grid, Study
from tests.harness.report.conftest import run_into

TABLES = ("agreement", "environment", "final", "first-calls", "floor", "origins", "ratios", "records", "step-times")


@pytest.fixture(scope="module")
def page(report):
    return (report / "report.html").read_text()


def csv(report, name):
    return pd.read_csv(io.StringIO((report / f"{name}.csv").read_text()))


def test_the_environment_tells_the_host_beside_the_machine(report):
    told = csv(report, "environment")
    hosts = told[told.fact == "host"]
    assert set(hosts.value) == {platform.node()}
    assert set(hosts.backend) == set(told.backend)


def test_the_page_the_markdown_and_a_csv_for_every_kind_of_table(report):
    written = {path.name for path in report.iterdir()}
    assert written == {
        "report.html",
        "report.md",
        "time-to-target.csv",
        "troubles.csv",
        "study-small.toml",
        *(f"{name}.csv" for name in TABLES),
    }


def test_the_same_records_give_the_same_bytes(small_run, report, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_run, "small")
    again = write([Path("small")], Path("report")).parent
    for path in report.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_a_run_that_is_split_in_two_gives_the_same_page(small_run, report, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    halves = [Path("one"), Path("two")]
    for turn, half in enumerate(halves):
        shutil.copytree(small_run, half)
        for position, path in enumerate(sorted((half / "jobs").iterdir())):
            if position % 2 == turn:
                path.unlink()
    again = write(list(reversed(halves)), Path("report")).read_text()
    assert re.sub("replay (one|two)", "replay small", again) == (report / "report.html").read_text()


def test_records_that_two_runs_share_are_read_once(small_run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(small_run, copy)
    assert len(read([small_run, copy], copy).records) == len(read([small_run], copy).records)


def test_no_request_leaves_the_page(page):
    assert "default-src 'none'" in page
    assert not re.findall(r"https?://|//cdn|@import|<link|<iframe|<script src", page)
    addresses = re.findall(r'(?:href|src)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert addresses
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)


def test_ids_of_drawings_do_not_collide(page):
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert {reference for reference in re.findall(r'(?:href="|url\()#([^")]*)', page)} <= set(ids)


def test_what_people_wrote_is_escaped(page):
    assert "a &lt;small&gt; run &amp; its report" in page
    assert "<small>" not in page


def test_no_path_of_this_machine_is_told(small_run, report):
    for path in report.iterdir():
        assert str(small_run.parent) not in path.read_text(), path.name


def test_rates_and_the_word_untuned_stand_beside_rankings(report):
    words = (report / "report.md").read_text()
    assert re.search(r"sgd\[lr=0\.1\].*: \*\*\S+\*\* \(.*best of 2 rates\)", words)
    assert re.search(r"adam\[lr=0\.001\].*: \*\*\S+\*\* \(.*untuned\)", words)
    assert "Untuned rates: this ranks these rates, not the optimizers." in words


def test_diverged_runs_are_named_and_counted_as_not_reached(report):
    assert re.search(r"\*\*8 jobs diverged:\*\* .*sgd\[lr=1e\+08\]", (report / "report.md").read_text())
    target = csv(report, "time-to-target")
    lost = target[target.recipe.str.contains("1e\\+08")]
    assert len(lost) == 4 and (lost.reached == 0).all() and (lost.runs == 2).all()
    assert (lost.steps_median == float("inf")).all()
    assert set(csv(report, "troubles").status) == {"diverged"}


def test_the_summary_claims_the_fastest_only_with_its_interval(report):
    words = (report / "report.md").read_text()
    speed = re.search(r"\*\*Speed, cube-2x2x2\.\*\* (.*)\n  - (.*)", words)
    ratio = csv(report, "ratios").iloc[0]
    decided = ratio.low > 1
    assert ("is fastest" in speed[1]) == decided
    assert ("Undecided" in speed[1]) == (not decided)
    assert f"**{number(ratio.ratio)} ×**" in speed[2]


def test_all_agreement_is_told(report):
    assert "**All agree:** 4 comparisons of numpy and torch with the reference" in (report / "report.md").read_text()
    agreement = csv(report, "agreement")
    assert agreement.equal.all() and (agreement.distance <= agreement.tolerance).all()


def test_seconds_to_target_are_steps_times_the_step_time(report):
    final = csv(report, "time-to-target")
    timed = csv(report, "step-times").set_index("backend").seconds
    for row in final[final.seconds_median.notna() & (final.steps_median < float("inf"))].itertuples():
        assert row.seconds_median == pytest.approx(row.steps_median * timed[row.backend])


def test_every_record_is_listed_with_its_key(small_run, report):
    listed = csv(report, "records")
    assert set(listed.record) == Store.open(small_run).keys()
    assert set(listed.run) == {small_run.name}


def test_sections_without_records_say_what_makes_them(small_run, tmp_path):
    only = tmp_path / "only"
    shutil.copytree(small_run, only)
    store = Store.open(only)
    for record in store.records():
        if record.job.measure.spelling() != "first_call":
            (store.jobs / f"{record.key}.parquet").unlink()
    words = (write([only], tmp_path / "report").parent / "report.md").read_text()
    makes = "This makes them: `gradgauge run --problem cube-2x2x2`"
    for lacking in ("No backend was compared", "No steady steps were timed", "No training run", "No gradient norms"):
        assert re.search(f"{lacking}[^\n]*{makes}", words), lacking


def test_no_records_at_all_is_nothing_measured(tmp_path):
    with Store.create(tmp_path / "empty", {"study": None}):
        pass
    with pytest.raises(NothingMeasured, match="holds no record.*gradgauge run"):
        write([tmp_path / "empty"], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_one_backend_in_two_environments_keeps_its_names_apart(small_run, tmp_path):
    other = tmp_path / "other"
    with Store.create(other, {"study": {"name": "other"}}) as store:
        for record in Store.open(small_run).records():
            job = record.job
            if job.cell.backend == "torch":
                packages = {**job.environment.packages, "torch": "9.9"}
                store.write(replace_job(record, replace(job, environment=replace(job.environment, packages=packages))))
    names = {c.name for c in read([small_run, other], other).contenders.values()}
    assert "torch (torch 9.9)" in names and "numpy" in names and len(names) == 4
    colours = [c.series for c in read([small_run, other], other).contenders.values()]
    assert len(colours) == len(set(colours))


def replace_job(record, job):
    return type(record)(job, record.status, record.reason, record.plan, record.facts, record.table)


def speed_words(folder):
    """What the summary says of speed."""
    return re.search(r"- \*\*Speed, .*?(?=\n- \*\*)", (folder / "report.md").read_text(), re.DOTALL)[0]


def test_intervals_are_said_to_hold_within_a_session(report, page):
    assert "95 % within this session; another session on this machine can differ by more" in speed_words(report)
    assert page.count("another session on this machine can differ by more") > 3  # in the lead and below each table


def test_who_computes_beside_its_python_is_told_beside_the_ranking(small_run, report, tmp_path):
    assert "hands each step" not in speed_words(report)
    assert ", one thread on one core, the same core for all." in speed_words(report)
    other = tmp_path / "other"
    with Store.create(other, Store.open(small_run).about()) as store:
        for record in Store.open(small_run).records():
            facts = {**record.facts, **({"dispatch": "asynchronous"} if record.job.cell.backend == "torch" else {})}
            facts.pop("cores", None)  # where the system cannot hold a process to some of its cores
            store.write(replace_facts(record, facts))
    write([other], other)
    assert ", 1 thread." in speed_words(other)
    words = "torch hands each step to a thread that computes while its Python goes on"
    assert words in speed_words(other) and "Held to a single core the order can be another." in speed_words(other)
    assert (other / "report.html").read_text().count(words) == 2  # in the summary and below the ratios


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (((1, 1), (1, 1)), "one thread on one core, the same core for all"),
        (((1, 1),), "one thread on one core"),
        (((4, 4), (4, 4)), "4 threads on 4 cores, the same cores for all"),
        (((4, 2), (4, 2)), "4 threads on 2 cores (fewer than threads), the same cores for all"),
        (((4, 1), (4, 1)), "4 threads on one core (fewer than threads), the same core for all"),
        (((1, 1), (4, 4)), "one thread on one core and 4 threads on 4 cores"),
        (((1, 1), (1, None)), ""),
    ],
)
def test_threads_are_told_with_the_cores_that_they_had(pairs, words, small_run):
    one = next(record for record in Store.open(small_run).records() if isinstance(record.job.measure, Speed))
    records = []
    for place, (threads, cores) in enumerate(pairs):
        environment = replace(one.job.environment, threads=threads, packages={"numpy": str(place)})
        facts = {name: fact for name, fact in one.facts.items() if name != "cores"}
        facts |= {"cores": str(cores)} if cores else {}
        records.append(replace_facts(replace_job(one, replace(one.job, environment=environment)), facts))
    assert timed.cores(records) == words


def test_cores_of_two_machines_are_not_the_same(small_run):
    one = next(record for record in Store.open(small_run).records() if isinstance(record.job.measure, Speed))
    one = replace_facts(one, {**one.facts, "cores": "1"})
    other = replace_job(one, replace(one.job, environment=replace(one.job.environment, machine="another")))
    assert timed.cores([one, other]) == "one thread on one core"


def test_where_an_agreement_diverged_is_told_only_if_its_record_knows(small_run, tmp_path):
    """Records of agreement hold no losses; what they know of a divergence is in their reason, if in anything."""
    records = [r for r in Store.open(small_run).records() if r.job.measure == Agreement()]
    reasons = {"torch": "the loss is not finite from step 1"}
    with Store.create(tmp_path / "lost", {"study": None}) as store:
        for record in records:
            reason = reasons.get(record.job.cell.backend, "")
            store.write(type(record)(record.job, "diverged", reason, record.plan, record.facts, record.table))
    words = (write([tmp_path / "lost"], tmp_path).with_name("report.md")).read_text()
    (told,) = re.findall(r"\*\*3 jobs diverged:\*\*(.*)", words)
    assert "None" not in told
    assert "torch with adam[lr=0.001] (the loss is not finite from step 1)" in told
    assert re.search(r"numpy with adam\[lr=0\.001\][;.]", told)


def test_no_coverage_is_claimed_for_a_number_of_blocks_that_nobody_timed(page):
    assert "ten blocks" not in page and "cover somewhat less where these are few" in page


def replace_facts(record, facts):
    return type(record)(record.job, record.status, record.reason, record.plan, facts, record.table)


def test_budgets_of_timed_cells_are_not_told_for_nothing_trains_that_long(report):
    ran = (report / "report.md").read_text().partition("What was run:")[2].partition("\n\n##")[0]
    assert "shipped, float32, cpu, 2 epochs, batch 16; timed: shipped, float32, cpu, batch 16" in ran
    assert ran.count("epoch") == 1  # of the training runs


def test_sizes_are_told_without_loading_data(small_run, report, monkeypatch):
    monkeypatch.setattr("harness.problems.data._known", None)
    told = dict(page_._scope(read([small_run], report)))
    assert told["cube-2x2x2"].startswith("4866 parameters; 167 samples for training, 38 samples for validation")


def test_a_norm_that_never_changes_has_a_colour(tmp_path):
    """A single step has one norm: the scale that it stands on must have two ends (warnings are errors)."""
    one = Grid(Convergence(), ("beale",), ("sgd[lr=0.1]",), backends=("numpy",), precisions=("float64",), steps=1)
    page = write([run_into(tmp_path / "one", Study("one", "one step", (one,)))], tmp_path).read_text()
    low, high = map(float, re.search(r"Colours from (\S+) to ([^<]+)<", page).groups())
    assert high - low == pytest.approx(1, abs=0.01)


def test_the_axis_of_losses_is_named(page):
    panels = re.findall(r"<svg[^>]*><title[^>]*>Training loss.*?</svg>", page, re.DOTALL)
    assert panels and all(">loss, logarithmic</text>" in panel for panel in panels)


def test_narrow_columns_may_break_names_behind_an_underscore():
    assert page_._breakable("averaged_momentum[lr=<1]") == "averaged_<wbr>momentum<wbr>[lr=&lt;1]"


def test_a_rate_is_untuned_unless_its_optimizer_ran_with_several_all_else_equal():
    slow, quick, clipped = Recipe(SGD(0.1)), Recipe(SGD(0.2)), Recipe(SGD(0.3), clip=GlobalNorm())
    assert rates([slow, clipped]) == {slow: "untuned", clipped: "untuned"}
    assert rates([slow, quick, clipped]) == {slow: "1 of 2 rates", quick: "1 of 2 rates", clipped: "untuned"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9998, "1.00"),
        (0.95, "0.950"),
        (1234.5, "1234"),
        (12345.6, "12 346"),
        (3.1e-15, "3.10e−15"),
        (0, "0"),
        (-2, "−2.00"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert number(value).replace("\N{NARROW NO-BREAK SPACE}", " ") == text


def test_templates_travel_with_the_package():
    globs = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["harness"]
    assert {"**/*.html", "**/*.css", "**/*.js", "**/*.md.jinja"} <= set(globs)


def test_problems_with_a_recipe_each_are_one_statement_of_ranges_and_losses(tmp_path):
    """Two problems, one of which ends alike with every seed and one of which diverges with all: "lost", no number."""
    bowl = Grid(Convergence(), ("quadratic-100",), ("sgd[lr=0.001]",), backends=("numpy",), steps=5)
    cube = Grid(Convergence(), ("cube-2x2x2",), ("sgd[lr=1e8]",), backends=("numpy",), seeds=2, steps=20)
    write([run_into(tmp_path / "two", Study("two", "two problems", (bowl, cube)))], tmp_path)
    words = (tmp_path / "report.md").read_text()
    (ends,) = csv(tmp_path, "final").query("problem == 'quadratic-100' and series == 'loss/training'").final_median
    assert f"  - quadratic-100: **{number(ends)}** (training loss of 1 run" in words
    assert "  - cube-2x2x2: **lost** (validation R² of 2 runs, 2 diverged" in words
    assert "ranks these rates" not in words


LONG = Recipe(
    Adam(0.001, beta1=0.91, beta2=0.9991, eps=1e-7), GlobalNorm(), L1L2(), Coupled(), Exponential(0.7, every=70)
)


def test_labels_of_any_length_have_room(small_run, tmp_path):
    """A recipe with one of everything, and an environment that takes three hundred characters to be told apart."""
    versions = {"torch": "9" * 300, "numpy": "8.8"}
    with Store.create(tmp_path / "long", {"study": {"name": "long"}}) as store:
        for record in Store.open(small_run).records():
            if isinstance(record.job.measure, Speed | FirstCall):
                job = replace(record.job, cell=replace(record.job.cell, recipe=LONG))
                store.write(replace_job(record, job))
                packages = {**job.environment.packages, **versions}
                store.write(replace_job(record, replace(job, environment=replace(job.environment, packages=packages))))
    page = write([tmp_path / "long"], tmp_path).read_text()
    widths = {
        title: float(width)
        for width, title in re.findall(r'<svg viewBox="0 0 ([\d.]+) [^>]*><title[^>]*>(Step|First|Mult)', page)
    }
    assert widths.keys() == {"Step", "First", "Mult"}
    assert widths["Step"] < 600 and widths["First"] < 600 < widths["Mult"]


@pytest.mark.parametrize(
    ("label", "lines"),
    [
        ("adam[lr=0.001]", ["adam[lr=0.001]"]),
        ("", [""]),
        ("x" * 100, ["x" * 43, "x" * 43, "x" * 14]),
        (
            "adam[lr=0.001,beta1=0.91,beta2=0.9991] + l2[lam=0.0001]",
            ["adam[lr=0.001,beta1=0.91,beta2=0.9991] +", "l2[lam=0.0001]"],
        ),
    ],
)
def test_long_labels_are_broken_behind_spaces_and_commas(label, lines):
    assert canvas.broken(label).split("\n") == lines
