"""Records on disk: a run is a folder, a record one Parquet file named by its job's key.

A file is written beside its place, synced and renamed, so whatever is there is whole. Merging runs is
copying files.

    run.json    the mark of a run: the study that it answers; written first
    lock        held by the one writer
    jobs/       the records
"""

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.backend import Origin
from harness.errors import InvalidInput
from harness.spec.base import from_json, key, to_json
from harness.spec.cell import Case
from harness.spec.job import Job, Status

SCHEMA = 2  # 2: blocks of several processes, each beside its pace
MARK, LOCK, JOBS = "run.json", "lock", "jobs"
_PARTS = f"{MARK}.*.part"  # of marks that were never finished
COLUMNS = ("series", "step", "tensor", "index", "value")
_ARROW = pa.schema(
    [
        ("series", pa.dictionary(pa.int32(), pa.string())),
        ("step", pa.int64()),
        ("tensor", pa.dictionary(pa.int32(), pa.string())),
        ("index", pa.int64()),
        ("value", pa.float64()),
    ]
)


class Mark(TypedDict):
    """What ``run.json`` says."""

    schema: int
    study: NotRequired[dict[str, Any] | None]
    line: NotRequired[list[str] | None]  # the words of the command line that made it
    problems: NotRequired[list[dict[str, Any]]]  # cases in a user's own files: their names and targets for reports
    remedies: NotRequired[dict[str, str]]  # of jobs that are another with a remedy: by key which


class _Head(msgspec.Struct, frozen=True):
    """What a record's file says beside its table."""

    schema: int
    job: msgspec.Raw
    status: Status
    reason: str
    plan: dict[str, Origin]
    facts: dict[str, str]


@dataclass(frozen=True)
class Record:
    """What became of a job. ``table`` has the columns series, step, tensor, index, value."""

    job: Job
    status: Status
    reason: str = ""
    plan: Mapping[str, Origin] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS)))

    @property
    def key(self) -> str:
        """The job's key."""
        return key(self.job)

    def series(self, name: str) -> pd.DataFrame:
        """The rows of one series."""
        return self.table[self.table["series"] == name]


class Store:
    """A run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / JOBS

    @classmethod
    @contextmanager
    def create(cls, folder: Path, about: Mapping[str, Any], fresh: bool = False) -> Iterator["Store"]:
        """Open a run folder for writing, making it if needed: one writer at a time, one study a folder.

        ``fresh`` forgets what the run held. The mark is written first and never taken away, so whatever moment
        a writer is killed at, it leaves a run or the beginning of one, which the next writer takes over.
        """
        store = cls(folder)
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not store._is_run():
                raise InvalidInput(f"{folder} holds other things and is no run: choose another --out")
            lock = (folder / LOCK).open("w")
        with lock:
            with writing_to(folder):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise InvalidInput(f"another gradgauge is writing to {folder}: choose another --out") from None
                store._begin(about, fresh)
            yield store

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Open a run folder for reading; refuses a folder that is no run."""
        if not (folder / MARK).is_file():
            raise InvalidInput(f"{folder} is no run: it has no {MARK}. Runs are made by: gradgauge run --out {folder}")
        store = cls(folder)
        store.about()
        return store

    def about(self) -> Mark:
        """What the run was made from; refuses a mark that is damaged or of another gradgauge."""
        path = self.folder / MARK
        with _reading(path, "make the run again in another --out; the records in jobs/ can be copied there"):
            mark = msgspec.json.decode(path.read_bytes(), type=Mark)
        if mark["schema"] != SCHEMA:
            raise InvalidInput(
                f"{self.folder} has schema {mark['schema']}, this gradgauge reads and writes {SCHEMA}: "
                "choose another folder"
            )
        return mark

    def problems(self) -> list[Case]:
        """A user's own problems, as the mark tells; without those of a gradgauge whose problems had other fields."""
        found = []
        for case in self.about().get("problems") or ():
            with suppress(InvalidInput):
                found.append(from_json(Case, msgspec.json.encode(case)))
        return found

    def keys(self) -> set[str]:
        """The keys of all records."""
        return {path.stem for path in self.jobs.glob("*.parquet")}

    def status(self, job_key: str) -> Status | None:
        """The status of a record, or None if there is none."""
        path = self._path(job_key)
        if not path.is_file():
            return None
        with _reading_record(path):
            return _head(pq.read_schema(path)).status

    def write(self, *records: Record) -> None:
        """Write records: all their files are whole before the first is renamed into place."""
        paths = [self._path(record.key) for record in records]
        with writing_to(self.folder):
            parts = [(_write_part(path, record), path) for path, record in zip(paths, records, strict=True)]
            for part, path in parts:
                os.replace(part, path)
            _sync(self.jobs)

    def read(self, job_key: str) -> Record:
        """One record."""
        path = self._path(job_key)
        if not path.is_file():
            near = ", ".join(sorted(self.keys())[:3])
            raise InvalidInput(f"{self.folder} has no job {job_key!r} (it has {len(self.keys())}: {near}, …)")
        with _reading_record(path):
            with pq.ParquetFile(path) as file:
                table = file.read(use_threads=False)
            head = _head(table.schema)
            record = Record(
                job=from_json(Job, bytes(head.job)),
                status=head.status,
                reason=head.reason,
                plan=head.plan,
                facts=head.facts,
                table=table.to_pandas(),
            )
            if record.key != job_key:
                raise InvalidInput(f"it is the record of job {record.key}")
        return record

    def records(self) -> Iterator[Record]:
        """All records, in the order of their keys."""
        for job_key in sorted(self.keys()):
            yield self.read(job_key)

    def told(self, fact: str) -> set[str]:
        """What the records that can be read tell under a fact's name; their tables are not read."""
        found = set()
        for job_key in self.keys():
            path = self._path(job_key)
            with suppress(InvalidInput), _reading_record(path):
                found.add(_head(pq.read_schema(path)).facts.get(fact))
        return {text for text in found if text is not None}

    def readable(self, skipped: Collection[str] = ()) -> tuple[dict[str, Record], list[str]]:
        """By key all records that can be read, but for skipped keys; and of the others what is wrong with them."""
        found, unreadable = {}, []
        for job_key in sorted(self.keys() - set(skipped)):
            try:
                found[job_key] = self.read(job_key)
            except InvalidInput as error:
                unreadable.append(str(error))
        return found, unreadable

    def _path(self, job_key: str) -> Path:
        return self.jobs / f"{job_key}.parquet"

    def _is_run(self) -> bool:
        """Whether the folder has its mark, or nothing but what a writer makes before that."""
        begun = (LOCK, JOBS)  # the second in gradgauges that made the mark last
        inside = list(self.folder.iterdir())
        return any(p.name == MARK for p in inside) or all(p.name in begun or p.match(_PARTS) for p in inside)

    def _begin(self, about: Mapping[str, Any], fresh: bool) -> None:
        """Make the folder ready for a writer who holds the lock."""
        mark = self.folder / MARK
        held = self.about() if mark.exists() else Mark(schema=SCHEMA)
        if fresh:
            _clear(self.folder, (MARK, LOCK))
        elif not _same_grids(held.get("study") or {}, about.get("study") or {}):
            name = (held.get("study") or {}).get("name")
            raise InvalidInput(
                f"{self.folder} holds a run of {name} with other grids: choose another --out, or forget it with --fresh"
            )
        for leftover in (*self.folder.glob(_PARTS), *self.jobs.glob("*.part")):
            leftover.unlink()
        if not fresh:  # what became of it stays told, whoever writes next
            told = *(held.get("problems") or ()), *(about.get("problems") or ())
            own = {msgspec.json.encode(one.get("problem"), order="sorted"): one for one in told}
            about = {"remedies": held.get("remedies") or {}, **about, "problems": list(own.values())}
        write_atomically(mark, msgspec.json.encode({"schema": SCHEMA, **about}))
        self.jobs.mkdir(exist_ok=True)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Around writes to a folder that the user named: ``InvalidInput`` where the system refuses them."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"cannot write to {folder}: {error.strerror or error}: choose another --out") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file so that it is there whole or not at all."""
    part = path.with_name(path.name + f".{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _write_part(path: Path, record: Record) -> Path:
    head = {
        "schema": SCHEMA,
        "job": msgspec.json.decode(to_json(record.job)),
        "status": record.status,
        "reason": record.reason,
        "plan": {piece: list(origin) for piece, origin in record.plan.items()},
        "facts": dict(record.facts),
    }
    table = pa.Table.from_pandas(record.table, schema=_ARROW, preserve_index=False)
    table = table.replace_schema_metadata({"gradgauge": msgspec.json.encode(head, order="deterministic")})
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    return part


def _head(schema: pa.Schema) -> _Head:
    head = msgspec.json.decode((schema.metadata or {}).get(b"gradgauge", b""), type=_Head)
    if head.schema != SCHEMA:
        raise InvalidInput(f"it has schema {head.schema}, this gradgauge reads {SCHEMA}")
    return head


@contextmanager
def _reading(path: Path, cure: str) -> Iterator[None]:
    """Around reading a file of a run: one that does not say what it should is named, with the cure."""
    try:
        yield
    except (OSError, pa.ArrowException, msgspec.DecodeError, InvalidInput) as error:
        raise InvalidInput(f"cannot use {path}: {' '.join(str(error).split()).rstrip('.')}: {cure}") from None


def _reading_record(path: Path) -> AbstractContextManager[None]:
    return _reading(path, "delete it, and the same run makes it again")


def _same_grids(held: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether two studies in plain builtins ask the same; one that tells no grids asks nothing."""
    return "grids" not in held or "grids" not in asked or held["grids"] == asked["grids"]


def _clear(folder: Path, kept: Collection[str]) -> None:
    """Delete everything in a folder but what is kept."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in kept:
            path.unlink()


def _sync(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
