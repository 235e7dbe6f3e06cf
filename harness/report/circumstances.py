"""The sections on what went wrong and on what the numbers were made with."""

from collections.abc import Mapping, Sequence

import pandas as pd

from harness.judge import speed
from harness.report import commands, commits_circumstances
from harness.report.contenders import Contender
from harness.report.material import Material, setting
from harness.report.section import Column, Entry, Section, Table
from harness.report.words import NOTHING, problem_name, recipe_order
from harness.store import Record

STATUSES = ("diverged", "failed", "timeout", "unsupported")


def troubles(material: Material) -> Section:
    """Every record that is not ok, with its reason and the line that runs it again."""
    order = list(material.contenders)

    def place(item: tuple[str, Record]) -> tuple[object, ...]:
        _, record = item
        who = order.index(speed.contender(record.job))
        return STATUSES.index(record.status), recipe_order(record.job.cell.recipe), who

    records = sorted((item for item in material.keyed.items() if item[1].status != "ok"), key=place)
    others = [*_unreadable(material), *commits_circumstances.troubles(material)]
    if not records:
        well = "Every job ended well: nothing diverged, failed or ran out of time." if material.records else ""
        return Section("troubles", "What went wrong", well or ("" if others else "Nothing."), others)
    names = ("status", "backend", "problem", "recipe", "measured", "seed", "reason", "run it again")
    table = Table(
        "troubles-table",
        "troubles",
        "Diverged, failed, out of time, unsupported",
        [Column(name, numeric=name == "seed", wide=name in ("recipe", "reason")) for name in names],
        [_trouble(material, *item) for item in records],
        pd.DataFrame([row(material, *item) for item in records]),
        folded=len(records) > 40,
    )
    lead = "Failure is a result: each of these is a record of its own, with its reason."
    return Section("troubles", "What went wrong", lead, [table, *others])


def _unreadable(material: Material) -> list[Table]:
    """Files that should be records and cannot be read."""
    if not material.unreadable:
        return []
    frame = pd.DataFrame({"reason": material.unreadable})
    rows = [[Entry("cannot be read", mark="bad"), Entry(why)] for why in material.unreadable]
    columns = [Column("status"), Column("reason", wide=True)]
    return [Table("unreadable-table", "unreadable", "Records that cannot be read", columns, rows, frame)]


def row(material: Material, key: str, record: Record) -> dict[str, object]:
    """A record in one line of CSV."""
    cell = record.job.cell
    return {
        "record": key,
        "run": material.folders[key],
        "measure": record.job.measure.spelling(),
        "problem": problem_name(cell.problem),
        "conditions": setting(cell).conditions,
        "recipe": material.recipe(cell.recipe),
        "backend": material.of(record.job).name,
        "seed": cell.seed,
        "status": record.status,
        "reason": record.reason,
    }


def environment(material: Material) -> Section:
    """Interpreter, packages, machine, threads, flags, hashes, and what each backend says of itself."""
    contenders = material.contenders
    records = {identity: [r for r in material.records if material.of(r.job) is c] for identity, c in contenders.items()}
    columns = {contender.name: _facts(contender, records[identity]) for identity, contender in contenders.items()}
    facts = sorted({fact for column in columns.values() for fact in column})  # a fact is its place and its name
    rows = [[Entry(f[1]), *(Entry(column.get(f, NOTHING)) for column in columns.values())] for f in facts]
    long = [{"fact": f[1], "backend": name, "value": column[f]} for name, column in columns.items() for f in column]
    table = Table(
        "environment-table",
        "environment",
        "What the numbers were made with",
        [Column("fact"), *(Column(name, wide=True) for name in columns)],
        rows,
        pd.DataFrame(long),
        again=commands.Again(("gradgauge doctor",)),
    )
    lead = "A number belongs to its environment. Records of different environments are never averaged."
    own = [table] if columns else []
    return Section("environment", "Environment", lead, [*own, *commits_circumstances.environment(material)])


def _trouble(material: Material, key: str, record: Record) -> list[Entry]:
    cell, who = record.job.cell, material.of(record.job)
    return [
        Entry(record.status, mark="bad"),
        Entry(who.name, series=who.series),
        Entry(problem_name(cell.problem)),
        Entry(material.recipe(cell.recipe)),
        Entry(record.job.measure.spelling().replace("_", " ")),
        Entry(str(cell.seed), order=cell.seed),
        Entry(record.reason),
        Entry(commands.replay(material, key), mark="code"),
    ]


def _facts(contender: Contender, records: Sequence[Record]) -> dict[tuple[int, str], str]:
    """Each fact's place on the page and name, and what it is."""
    environment = contender.environment
    said: dict[str, set[str]] = {}
    for record in records:
        for name, value in record.facts.items():
            if name not in ("session", "host"):
                said.setdefault(name, set()).add(value)
    hosts = sorted({record.facts["host"] for record in records if "host" in record.facts})
    data = {problem_name(r.job.cell.problem): r.job.environment.data for r in records}
    return {
        (0, "backend"): contender.title,
        (1, "Python"): environment.python,
        **{(2, name): version for name, version in environment.packages.items()},
        (3, "machine"): environment.machine,
        **({(3, "host"): ", ".join(hosts)} if hosts else {}),
        (4, "threads asked for"): str(environment.threads),
        (5, "variables"): _pairs(environment.flags),
        **{(6, f"it says: {name}"): ", ".join(sorted(values)) for name, values in said.items()},
        (7, "hash of its code"): environment.code,
        **{(8, f"hash of {problem}"): digest for problem, digest in data.items()},
    }


def _pairs(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(values.items())) or NOTHING
