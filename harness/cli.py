"""The command line: ``gradgauge VERB``.

Exit codes: 0 all is well; 1 something differs (``agree``, ``replay``, ``compare --fail-on``), is wrong (``diagnose``),
or a clock lies (``doctor --clock``); 2 the request makes no sense; 3 there is nothing to report on; 70 a bug of ours;
130 interrupted.
"""

import math
import shutil
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from harness import asv_results, comparison, diagnosis, estimate, listing, registry, running, studies, tables, treatment
from harness import doctor as doctors
from harness import replay as replays
from harness.diagnosis import Diagnosed
from harness.errors import GradgaugeError, InvalidInput, NothingMeasured, unknown
from harness.execute.local import Settings
from harness.judge import agreement
from harness.judge.speed import APART, MARGIN
from harness.printing import Format, err, say, say_all, show_tables
from harness.problems import catalogue
from harness.spec.base import canonical, key
from harness.spec.spellings import recipe_label
from harness.spec.toml import to_toml
from harness.store import Store
from harness.study import DEFAULT_THREADS, Selection, Study, find_case, find_study, overridden, select

DIFFERENT, USAGE, NOTHING, OURS, INTERRUPTED = 1, 2, 3, 70, 130
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
MARGIN_HELP = f"equal within so many per cent; {100 * APART:g} at least for seconds of one process or unknown pace"
FAIL_ON_HELP = f"exit code 1 where one of these is found: {', '.join(comparison.WORDS)}"
DIAGNOSED_HELP = "a problem's name, a TOML file (see show), or a run folder that holds observed runs"
REPORT_HELP = "where to write (default: the first run; here if that is of asv's)"
FOLDER_HELP = "run folder (default runs/STUDY; a hash behind it where other options select something else)"


Selector = Annotated[list[str] | None, typer.Option(metavar="SELECTION")]
Pythons = Annotated[list[str] | None, typer.Option("--python", metavar="BACKEND=PATH", help="interpreter of a backend")]
Threads = Annotated[int, typer.Option(min=1, help="threads of each worker")]
Limit = Annotated[float, typer.Option(min=0.1, help="seconds that one job may take")]
Shape = Annotated[Format, typer.Option("--format", help="how to print the result")]


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help=f"one of {', '.join(listing.KINDS)} (all if left out)")] = "",
    shape: Shape = Format.table,
) -> None:
    """Everything that has a name, with formulas, fields and what they may be; and which backends run here."""
    kinds = [kind] if kind else list(listing.KINDS)
    show_tables({name: listing.rows(name) for name in kinds}, shape)


@app.command()
def show(name: str) -> None:
    """Print a problem or study as TOML: edit it and give the file where a name is taken."""
    if name.endswith(".toml"):
        raise InvalidInput(f"show takes a name, not a file: {name}")
    if name in studies.STUDIES:
        print(to_toml(studies.STUDIES[name]), end="")
    elif name.partition("[")[0] in catalogue.CATALOGUE:
        print(to_toml(find_case(name)), end="")
    else:
        raise unknown("problem or study", name, (*studies.STUDIES, *catalogue.CATALOGUE))


@app.command()
def doctor(
    threads: Threads = DEFAULT_THREADS,
    python: Pythons = None,
    clock: Annotated[bool, typer.Option("--clock", help="say whether this machine's timings can be trusted")] = False,
    shape: Shape = Format.table,
) -> None:
    """Open every backend and tell its versions, devices, threads, BLAS and flags, or how to install it.

    With --clock: whether timings can be trusted, how noisy they are, how long to measure; exit code 1 if not trusted.
    """
    if not clock:
        show_tables({"backends": doctors.examine(threads, _pythons(python))}, shape)
        return
    found = doctors.clocks(threads, _pythons(python))
    show_tables({"clock": [finding._asdict() for finding in found]}, shape)
    if found[-1].trust == "not trusted":
        raise typer.Exit(DIFFERENT)


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="a study's name, or a TOML file (see show)")] = "quickstart",
    problem: Selector = None,
    optimizer: Selector = None,
    clip: Selector = None,
    penalty: Selector = None,
    decay: Selector = None,
    schedule: Selector = None,
    backend: Selector = None,
    device: Selector = None,
    precision: Selector = None,
    mode: Selector = None,
    seeds: Annotated[int | None, typer.Option(min=1)] = None,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    stop: Annotated[str | None, typer.Option(help="a rule that ends training early, as early[patience=5]")] = None,
    threads: Threads = DEFAULT_THREADS,
    limit: Limit = Settings.limit,
    python: Pythons = None,
    out_: Annotated[Path | None, typer.Option("--out", help=FOLDER_HELP)] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget what the folder holds")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="run failed and timed-out jobs again")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would run and how long, run nothing")] = False,
) -> None:
    """Run a study, resumably, then write its report."""
    named = find_study(study, studies.STUDIES)
    selections = {
        "problem": _texts(problem),
        "optimizer": _texts(optimizer),
        "clip": _texts(clip),
        "penalty": _texts(penalty),
        "decay": _texts(decay),
        "schedule": _texts(schedule),
        "backend": _texts(backend),
        "device": _texts(device),
        "precision": _texts(precision, split=True),
        "mode": _texts(mode),
    }
    lengths = {"seeds": seeds, "steps": steps, "epochs": epochs, "stop": stop}
    plural = {name: "penalties" if name == "penalty" else f"{name}s" for name in selections}
    chosen = overridden(named, **{plural[name]: given for name, given in selections.items()}, **lengths)
    line = None if study.endswith(".toml") else _line("run", study, **selections, **lengths)
    folder = out_ or _folder(chosen, named)
    if dry_run:
        _select(chosen, Settings(threads, limit, _pythons(python)))
        return
    tally = _run(chosen, folder, Settings(threads, limit, _pythons(python)), fresh, retry, line)
    if not tally.measured:
        raise NothingMeasured(f"nothing was measured: {tally.others}, see the lines above")
    _write_report([folder], folder)


@app.command()
def agree(
    full: Annotated[bool, typer.Option("--all", help="every pair of all pieces and variants")] = False,
    product: Annotated[bool, typer.Option("--product", help="the whole product, which takes days")] = False,
    backend: Selector = None,
    optimizer: Selector = None,
    threads: Threads = DEFAULT_THREADS,
    limit: Limit = Settings.limit,
    python: Pythons = None,
    out_: Annotated[Path | None, typer.Option("--out", help=FOLDER_HELP)] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget what the folder holds")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="run failed and timed-out jobs again")] = False,
    shape: Shape = Format.table,
) -> None:
    """Same maths: the largest relative difference per backend against the reference; exit code 1 if too large."""
    if full and product:
        raise InvalidInput("give either --all or --product")
    cover: studies.Cover = "product" if product else "pairs" if full else "short"
    chosen = studies.agreement(cover, _texts(backend), _texts(optimizer))
    folder = out_ or _folder(chosen, studies.agreement(cover))
    line = _line(
        "agree",
        *(["--product"] if product else ["--all"] if full else []),
        backend=_texts(backend),
        optimizer=_texts(optimizer),
    )
    tally = _run(chosen, folder, Settings(threads, limit, _pythons(python)), fresh, retry, line)
    wanted = {key(job) for job in select(chosen, threads, _pythons(python)).jobs}
    records, damaged = Store.open(folder).readable()
    say_all([f"  left out: {why}" for why in damaged if why not in tally.troubles])
    verdicts = agreement.judge(record for record_key, record in records.items() if record_key in wanted)
    if not any(verdict.tensor for verdict in verdicts):
        raise NothingMeasured("nothing could be compared, see the lines above")
    show_tables({"agreement": [tables.summary(group) for group in tables.grouped(verdicts)]}, shape)
    different = [verdict for verdict in verdicts if verdict.differs]
    say_all([tables.difference(verdict) for verdict in different])
    if different:
        say(f"{len(different)} of {len(verdicts)} comparisons differ by more than rounding explains")
        raise typer.Exit(DIFFERENT)


@app.command()
def diagnose(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help=DIAGNOSED_HELP)],
    optimizer: Selector = None,
    clip: Selector = None,
    penalty: Selector = None,
    decay: Selector = None,
    schedule: Selector = None,
    backend: Annotated[list[str] | None, typer.Option(metavar="SELECTION", help="(default: the first here)")] = None,
    precision: Selector = None,
    seeds: Annotated[int | None, typer.Option(min=1)] = None,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    level: Annotated[str | None, typer.Option(help="what is observed of a step: minimal, standard or full")] = None,
    every: Annotated[int | None, typer.Option(min=1, help="observe one step in so many")] = None,
    window: Annotated[int | None, typer.Option(min=1, help="observed batches over which units count as dead")] = None,
    threads: Threads = DEFAULT_THREADS,
    limit: Limit = Settings.limit,
    python: Pythons = None,
    out_: Annotated[Path | None, typer.Option("--out", help=FOLDER_HELP)] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget what the folder holds")] = False,
    remedy: Annotated[bool, typer.Option("--remedy", help="apply what is proposed, show before and after")] = False,
    shape: Shape = Format.table,
) -> None:
    """Is anything wrong with a training run, where, since when, why, what to change; exit code 1 if something is."""
    selections: dict[str, Any] = {
        "optimizer": _texts(optimizer),
        "clip": _texts(clip),
        "penalty": _texts(penalty),
        "decay": _texts(decay),
        "schedule": _texts(schedule),
        "backend": _texts(backend),
        "precision": _texts(precision, split=True),
    }
    lengths: dict[str, Any] = {"seeds": seeds, "steps": steps, "epochs": epochs}
    measure: dict[str, Any] = {"level": level, "every": every, "window": window}
    settings = Settings(threads, limit, _pythons(python))
    if problem and problem not in catalogue.CATALOGUE and Path(problem).is_dir():
        given = [name for name, value in (selections | lengths | measure).items() if value not in (None, ())]
        if given:
            raise InvalidInput(f"{problem} is a run, judged as it is: leave out --{', --'.join(given)}")
        folder, wanted = Path(problem), None
    else:
        plural = {"penalties" if name == "penalty" else f"{name}s": value for name, value in selections.items()}
        chosen, named = diagnosis.studies(problem, **measure, pythons=settings.pythons, **plural, **lengths)
        folder = out_ or _folder(chosen, named)
        words = _line("diagnose", problem, **selections, **lengths, **measure) + ["--remedy"] * remedy
        line = None if problem.endswith(".toml") else words
        tally = _run(chosen, folder, settings, fresh, False, line)
        if not tally.measured:
            raise NothingMeasured(f"nothing was measured: {tally.others}, see the lines above")
        wanted = [key(job) for job in select(chosen, threads, settings.pythons).jobs]
    with catalogue.knowing(Store.open(folder).problems()):
        found = diagnosis.observed(folder, wanted)
        ill = [one for one in found if not one.diagnosis.healthy]
        printed: dict[str, Any] = {"diagnose": [diagnosis.plain(one) for one in found]}
        for one in found:
            say(f"{one.name}: {'not healthy' if one in ill else 'healthy'}")
            if shape is Format.table:
                show_tables({one.name: diagnosis.table(one)}, shape)
        say_all(diagnosis.unobserved(found))
        if remedy:
            printed["remedies"] = [_remedied(one, ill, folder, settings, shape) for one in ill]
        if shape is Format.json:
            show_tables(printed, shape)
    _write_report([folder], folder)
    if ill:
        raise typer.Exit(DIFFERENT)


def _remedied(
    one: Diagnosed, among: list[Diagnosed], folder: Path, settings: Settings, shape: Format
) -> dict[str, Any]:
    """Make a run again with each remedy of what is wrong with it, print before and after, write the best."""
    trials = treatment.proposed(one, settings.pythons)
    about: dict[str, Any] = {name: value for name, value in Store.open(folder).about().items() if name != "schema"}
    about["problems"] = [canonical(case) for case in treatment.cases(trials, one)]
    about["remedies"] = {**(about.get("remedies") or {}), **{key(trial.job): trial.remedy for trial in trials}}
    with Store.create(folder, about) as store:
        selection = Selection([trial.job for trial in trials], {})
        tally = running.run("remedies", selection, store, settings, False, err)
        found = treatment.outcomes(one, trials, store)
    say(f"remedies: {tally.sentence()}")
    say_all([f"  {trouble}" for trouble in tally.troubles])
    if shape is Format.table:
        show_tables({f"remedies: {one.name}": treatment.table(found)}, shape)
    best = treatment.best(found)
    path = folder / (f"best-{one.record.key[:8]}.toml" if len(among) > 1 else "best.toml")
    if best is None:
        say(f"{one.name}: no remedy helps")
    else:
        say_all(treatment.write(best, one, path))
        say(f"{one.name}: best is {best.remedy.replace('_', ' ')}: gradgauge diagnose {path}")
    file = None if best is None else str(path)
    return {"job": one.record.key, "file": file, "outcomes": treatment.plain(found)}


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="run folders, and folders of asv's results (.asv/results)")],
    out_: Annotated[Path | None, typer.Option("--out", help=REPORT_HELP)] = None,
) -> None:
    """The offline page, Markdown and CSV, from runs and from asv's results."""
    places: dict[Path, Path] = {}
    for path in runs:  # what is given twice would be compared with itself
        places.setdefault(path.resolve(), path)
    _write_report(list(places.values()), out_ or (Path(".") if asv_results.is_results(runs[0]) else runs[0]))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="run folder; asv: COMMIT[:ENVIRONMENT[:MACHINE]] or a file")],
    b: Annotated[str, typer.Argument(metavar="B", help="the same; ratios are B over A")],
    margin: Annotated[float, typer.Option(min=0, help=MARGIN_HELP)] = 100 * MARGIN,
    fail_on: Annotated[list[str] | None, typer.Option(metavar="VERDICT", help=FAIL_ON_HELP)] = None,
    results: Annotated[Path, typer.Option(help="folder of asv's results")] = Path(".asv/results"),
    shape: Shape = Format.table,
) -> None:
    """Two runs, or two of asv's results: ratios with intervals that hold together, and verdicts."""
    if not math.isfinite(margin):
        raise InvalidInput(f"--margin {margin}: must be a finite number, 0 or more")
    words = comparison.known(_texts(fail_on, split=True))
    found = comparison.compare(a, b, results, margin / 100)
    rows = [comparison.row(one) for one in found.compared.comparisons]
    say(f"A: {found.a}; B: {found.b}; ratios are B/A")
    say_all(list(found.notes))
    if shape is Format.json:
        show_tables({"compare": rows, "notes": found.notes}, shape)
    else:
        show_tables({tables.corrected(found.compared.intervals): [tables.compared(row) for row in rows]}, shape)
    failing = found.fails(words)
    say_all(failing)
    if failing:
        raise typer.Exit(DIFFERENT)


@app.command()
def replay(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="run folder")],
    job: Annotated[str, typer.Argument(metavar="JOB", help="a job's key, or its beginning")],
    python: Pythons = None,
    limit: Limit = Settings.limit,
    shape: Shape = Format.table,
) -> None:
    """Run one recorded job again and compare with the record; exit code 1 if they differ."""
    found = replays.replay(folder, job, _pythons(python), limit)
    cell = found.record.job.cell
    say(f"{cell.backend}: {recipe_label(cell.recipe)}: then {found.record.status}, now {found.again.status}")
    for name, (then, now) in found.changed.items():
        say(f"environment: {name} was {then}, is {now}")
    if not found.comparisons:
        say(f"no numbers to compare, then or now: {found.again.reason}")
    show_tables({"replay": [tables.replayed(one) for one in found.comparisons]}, shape)
    if not found.equal:
        raise typer.Exit(DIFFERENT)


def _select(study: Study, settings: Settings) -> Selection:
    """What a study runs here, told with what it leaves out and how long it takes."""
    selection = select(study, settings.threads, settings.pythons)
    for backend, reason in selection.unavailable.items():
        say(f"left out: {backend}: {reason}")
    expected = estimate.total(selection.jobs, settings.threads)
    jobs = f"{len(selection.jobs)} {'job' if len(selection.jobs) == 1 else 'jobs'}"
    say(f"{study.name}: {jobs}, about {expected:.0f} s if none is done yet")
    return selection


def _run(
    study: Study, folder: Path, settings: Settings, fresh: bool, retry: bool, line: list[str] | None
) -> running.Tally:
    selection = _select(study, settings)
    problems = [canonical(case) for case in selection.own]
    about = {"study": canonical(study), "line": line, "problems": problems}
    with Store.create(folder, about, fresh) as store, catalogue.knowing(selection.own):
        tally = running.run(study.name, selection, store, settings, retry, err)
    say(tally.sentence())
    say_all([f"  {trouble}" for trouble in tally.troubles])
    return tally


def _line(*words: str, **options: tuple[str, ...] | int | str | None) -> list[str]:
    """The words that ask for a selection again, options as they were given."""
    asked: list[str] = list(words)
    for name, given in options.items():
        for value in given if isinstance(given, tuple) else () if given is None else (given,):
            asked += [f"--{name}", str(value)]
    return asked


def _folder(chosen: Study, named: Study) -> Path:
    """The folder of a study; one whose selections were changed is another study, with a folder of its own."""
    return Path("runs") / (chosen.name if chosen == named else f"{chosen.name}-{key(chosen)[:8]}")


def _write_report(runs: list[Path], folder: Path) -> None:
    from harness.report import write  # matplotlib takes a second to import, and only reports need it

    page = write(runs, folder)
    say(f"report: {page}")


def _texts(values: list[str] | None, split: bool = False) -> tuple[str, ...]:
    given = tuple(values or ())
    return tuple(part.strip() for text in given for part in text.split(",")) if split else given


def _pythons(values: list[str] | None) -> dict[str, str]:
    """BACKEND=PATH pairs, each path that of an existing file."""
    found = {}
    for text in values or ():
        backend, equals, path = text.partition("=")
        if not equals:
            raise InvalidInput(f"--python {text}: write BACKEND=PATH")
        registry.find(backend)
        where = shutil.which(path)
        if where is None:
            raise InvalidInput(f"--python {text}: there is no interpreter at {path}")
        found[backend] = str(Path(where).absolute())
    return found


def main() -> None:
    """Run the command line and turn errors into exit codes."""
    sys.exit(_status())


def _status() -> int:
    try:
        code = int(app(sys.argv[1:] or ["--help"], standalone_mode=False) or 0)
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # of which typer made a code
        return code
    except NothingMeasured as error:
        say(f"error: {error}")
        return NOTHING
    except GradgaugeError as error:
        say(f"error: {error}")
        return USAGE if isinstance(error, InvalidInput) else OURS
    except (KeyboardInterrupt, typer.Abort):
        say("interrupted; run the same line again to go on from here")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  the last place where an error can be told from bad usage
        usage = getattr(error, "format_message", None)  # what typer refuses
        if usage is not None:
            say(f"error: {' '.join(usage().split())}")
            return USAGE
        traceback.print_exc()
        return OURS


if __name__ == "__main__":
    main()
