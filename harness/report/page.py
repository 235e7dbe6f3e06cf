"""Puts the page together: HTML, Markdown and CSV from one list of sections."""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from harness.problems import catalogue, data
from harness.problems import task as tasks
from harness.report import (
    canvas,
    circumstances,
    commands,
    commits,
    commits_tables,
    convergence,
    floor,
    gradients,
    health,
    same_maths,
    speed,
    summary,
)
from harness.report.material import Material, read, setting
from harness.report.section import Section
from harness.report.words import counted, listed, problem_name
from harness.spec.architecture import parameter_shapes
from harness.spec.job import TIMED, Health
from harness.spec.problem import Network, Problem
from harness.spec.toml import to_toml
from harness.store import write_atomically, writing_to

OF_RUNS = (same_maths.section, speed.section, floor.section, convergence.section, gradients.section)
OF_ALL = (circumstances.troubles, circumstances.environment)

CSVS = (
    *("agreement", "origins", "step-times", "ratios", "first-calls", "floor", "time-to-target", "final"),
    *("health", "findings", "not-observed", "health-start", "health-clips"),
    *("troubles", "unreadable", "environment", "records"),
    *("asv-newest", "asv-changes", "asv-commits", "asv-troubles", "asv-environment"),
)


def write(runs: Sequence[Path], out: Path) -> Path:
    """Write ``report.html``, ``report.md`` and a CSV for each kind of table into ``out``; give the page's path.

    A study that has no name here is written beside them as TOML, so that the page can say how to run it again. What is
    written depends on the records and on how the folders were named, on nothing else. Raises ``NothingMeasured`` if
    there are no records.
    """
    material = read(runs, out)
    with catalogue.knowing(material.own):
        files = _files(material)
    with writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_atomically(out / name, text.encode())
        for name in CSVS:
            if f"{name}.csv" not in files:
                (out / f"{name}.csv").unlink(missing_ok=True)  # of an earlier report
    return out / "report.html"


def _files(material: Material) -> dict[str, str]:
    """The page, the Markdown, the studies and the CSV files by name."""
    with canvas.style():
        of_asv = (commits.section,) if material.asv.results else ()
        sections = [part(material) for part in (*_of_runs(material), *of_asv, *OF_ALL)]
    content = {
        "abouts": material.abouts,
        "title": ", ".join(dict.fromkeys(about.name for about in material.abouts)) or _untitled(material),
        "contenders": list(material.contenders.values()),
        "trackers": [] if material.contenders else list(material.asv.trackers.values()),
        "scope": _scope(material),
        "statements": summary.statements(material),
        "sections": sections,
    }
    environment = _environment()
    files = {
        name: environment.get_template(template).render(content)
        for name, template in (("report.html", "page.html"), ("report.md", "page.md.jinja"))
    }
    files |= {name: to_toml(study) for name, study in commands.files(material).items()}
    frames = _frames(material, sections)
    return files | {f"{name}.csv": frame.to_csv(index=False, lineterminator="\n") for name, frame in frames.items()}


def _of_runs(material: Material) -> tuple[Callable[[Material], Section], ...]:
    """The sections on records: on health where a run was observed, and that alone where nothing else was measured."""
    observed = [isinstance(record.job.measure, Health) for record in material.records]
    others = OF_RUNS if not all(observed) else ()
    return (*others, health.section) if any(observed) else others


def _frames(material: Material, sections: Sequence[Section]) -> dict[str, pd.DataFrame]:
    """The CSV files by name: one for each kind of table, and one that lists every record."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for table in (table for section in sections for table in section.tables):
        parts.setdefault(table.csv, []).append(table.frame)
    for machine in material.asv.machines:
        frames = [commits_tables.series(machine, track) for track in machine.tracks]
        parts.setdefault(commits_tables.SERIES, []).extend(frames)
    found = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
    records = pd.DataFrame([circumstances.row(material, *item) for item in material.keyed.items()])
    return found | ({"records": records} if material.records else {})


def _untitled(material: Material) -> str:
    """The title of a page whose runs have no name."""
    return "runs" if material.records else "asv results"


def _scope(material: Material) -> list[tuple[str, str]]:
    """What was run, in words: problem by problem its size, budgets, precision, seeds; and who ran."""
    lines: list[tuple[str, str]] = []
    if not material.records:
        return list(material.asv.scope)
    for problem in dict.fromkeys(one.problem for one in material.settings):
        lines.append((problem_name(problem), f"{_size(problem)}. {'; '.join(_conditions(material, problem))}"))
    seeds = sorted({record.job.cell.seed for record in material.records})
    threads = sorted({contender.environment.threads for contender in material.contenders.values()})
    counts = {kind: 0 for kind in ("agreement", "convergence", "health", "speed", "first_call", "memory")}
    for record in material.records:
        counts[record.job.measure.spelling()] += 1
    jobs = listed(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items() if count)
    return [
        *lines,
        ("seeds", ", ".join(str(seed) for seed in seeds)),
        ("threads", listed(str(count) for count in threads)),
        ("jobs", f"{len(material.records)}: {jobs}"),
        *material.asv.scope,
    ]


def _size(problem: Problem) -> str:
    """Parameters and samples, without loading the data."""
    if not isinstance(problem, Network):
        return counted(sum(math.prod(shape) for shape in tasks.make(problem).shapes.values()), "variable")
    shapes = parameter_shapes(problem.model, data.shape(problem.data)[1:])
    parts = listed(f"{counted(len(rows), 'sample')} for {name}" for name, rows in data.split(problem.data).items())
    return f"{counted(sum(math.prod(shape) for shape in shapes.values()), 'parameter')}; {parts}"


def _conditions(material: Material, problem: Problem) -> list[str]:
    """How a problem was run. A timed cell's budget is left out: nothing trains for that long."""
    jobs = [record.job for record in material.records if record.job.cell.problem == problem]
    trained = {setting(job.cell) for job in jobs if not isinstance(job.measure, TIMED)}
    timed = {setting(job.cell).step_conditions for job in jobs if isinstance(job.measure, TIMED)}
    return [one.conditions for one in material.settings if one in trained] + [f"timed: {one}" for one in sorted(timed)]


def _environment() -> jinja2.Environment:
    """Autoescaping for HTML; Markdown has a filter of its own."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inline": _inline, "breakable": _breakable, "cell": _cell}
    return environment


def _inline(text: str) -> Markup:
    """``**bold**`` as HTML; everything else escaped."""
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text))))


def _breakable(text: str) -> Markup:
    """A recipe's name with places where a narrow column may break it."""
    return Markup(re.sub(r"([_/])|(?=\[)", r"\1<wbr>", str(escape(text))))


def _cell(text: str) -> str:
    """Text that cannot break a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
