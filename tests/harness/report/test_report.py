"""The report of a small real run: what is written, that it repeats to the byte, and what its words say."""

import io
import json
import re
import shutil
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from msgspec.structs import replace

from harness import selectors
from harness.errors import NothingMeasured
from harness.report import commands, write
from harness.report.material import read
from harness.report.words import number, rates
from harness.spec.base import to_json
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, RMSProp
from harness.spec.recipe import Coupled, Decoupled, GlobalNorm, Recipe
from harness.spec.spellings import NINE, optimizer
from harness.store import Store
from harness.studies import STUDIES
from harness.study import overridden

TABLES = ("agreement", "environment", "final", "first-calls", "origins", "ratios", "records", "step-times")


@pytest.fixture(scope="module")
def page(report):
    return (report / "report.html").read_text()


def csv(report, name):
    return pd.read_csv(io.StringIO((report / f"{name}.csv").read_text()))


def test_the_page_the_markdown_and_a_csv_for_every_kind_of_table(report):
    written = {path.name for path in report.iterdir()}
    assert written == {
        "report.html",
        "report.md",
        "time-to-target.csv",
        "troubles.csv",
        *(f"{name}.csv" for name in TABLES),
    }


def test_the_same_records_give_the_same_bytes(small_run, report, tmp_path):
    copy = tmp_path / "elsewhere" / small_run.name
    shutil.copytree(small_run, copy)
    again = write([copy], tmp_path / "again").parent
    for path in report.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_a_run_that_is_split_in_two_gives_the_same_page(small_run, report, tmp_path):
    halves = [tmp_path / half / small_run.name for half in ("one", "two")]
    for turn, half in enumerate(halves):
        shutil.copytree(small_run, half)
        for position, path in enumerate(sorted((half / "jobs").iterdir())):
            if position % 2 == turn:
                path.unlink()
    again = write(list(reversed(halves)), tmp_path / "again")
    assert again.read_bytes() == (report / "report.html").read_bytes()


def test_records_that_two_runs_share_are_read_once(small_run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(small_run, copy)
    assert len(read([small_run, copy]).records) == len(read([small_run]).records)


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
    names = {c.name for c in read([small_run, other]).contenders.values()}
    assert "torch (torch 9.9)" in names and "numpy" in names and len(names) == 4
    colours = [c.series for c in read([small_run, other]).contenders.values()]
    assert len(colours) == len(set(colours))


def replace_job(record, job):
    return type(record)(job, record.status, record.reason, record.plan, record.facts, record.table)


RECIPES = [
    *(Recipe(optimizer(name)[0], decay=optimizer(name)[1]) for name in NINE),
    Recipe(SGD(lr=1e-7 / 3)),
    Recipe(Momentum(dampening=0.5, first="damped", rate="inside")),
    Recipe(Momentum(momentum=0.9, dampening=0.9, first="damped", rate="inside")),
    Recipe(Momentum(nesterov=True, rate="inside")),
    Recipe(AdaGrad(eps_placement="outside", initial_accumulator=0.1)),
    Recipe(RMSProp(centred=True, momentum=0.9)),
    Recipe(Adam(amsgrad="corrected", eps_placement="hat", eps=1e-7)),
    Recipe(Adam(), decay=Coupled(0.1)),
    Recipe(Adam(lr=0.5), decay=Decoupled(0.3)),
    Recipe(Adam(), decay=Decoupled(0.3, scaled_by="schedule")),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: commands.optimizer_selector(recipe))
def test_selectors_name_just_the_optimizer_they_are_made_from(recipe):
    ((found, _),) = selectors.optimizers([commands.optimizer_selector(recipe)])
    assert found == recipe.optimizer


def test_the_reproducing_line_has_the_selectors_that_tell_a_figure_from_the_rest(small_run):
    material = read([small_run])
    cells = [r.job.cell for r in material.records if r.job.cell.problem.spelling() == "network"]
    problem, every = cells[0].problem, {cell.recipe for cell in cells}
    assert commands.run(material, problem, every) == "gradgauge run small.toml --problem cube-2x2x2"
    clipped_adam = [r for r in every if isinstance(r.optimizer, Adam) and isinstance(r.clip, GlobalNorm)]
    line = "gradgauge run small.toml --problem cube-2x2x2 --optimizer 'adam[lr=0.001]' --clip global_norm"
    assert commands.run(material, problem, clipped_adam) == line


def test_the_reproducing_line_repeats_the_options_that_a_named_study_was_run_with(small_run, tmp_path):
    asked = overridden(STUDIES["quickstart"], seeds=1, epochs=7, backends=("numpy", "torch"), clips=("none",))
    with Store.create(tmp_path / "run", {"study": json.loads(to_json(asked))}) as store:
        store.write(next(Store.open(small_run).records()))
    line = "gradgauge run quickstart --clip none --backend numpy,torch --seeds 1 --epochs 7"
    assert commands.whole(read([tmp_path / "run"])) == line


def test_agreement_has_a_verb_of_its_own(small_run, tmp_path):
    with Store.create(tmp_path / "run", {"study": {"name": "agreement-all"}}) as store:
        store.write(next(Store.open(small_run).records()))
    material = read([tmp_path / "run"])
    (record,) = material.records
    assert commands.run(material, record.job.cell.problem, []) == "gradgauge agree --all"


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
