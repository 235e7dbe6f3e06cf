"""Records on disk: a run is a folder, a record one Parquet file named by its job's key.

A file is written beside its place, synced and renamed, so whatever is there is whole. Merging runs is
copying files.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.backend import Origin
from harness.errors import InvalidInput
from harness.spec.base import from_json, key, to_json
from harness.spec.job import FINAL, Job, Status

SCHEMA = 1
MARK = "run.json"
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
        self.jobs = folder / "jobs"

    @classmethod
    @contextmanager
    def create(cls, folder: Path, about: Mapping[str, Any]) -> Iterator["Store"]:
        """Open a run folder for writing, making it if needed; one writer at a time."""
        if folder.is_file() or (folder.exists() and any(folder.iterdir()) and not (folder / MARK).is_file()):
            raise InvalidInput(f"{folder} holds other things and is no run: choose another --out")
        store = cls(folder)
        store.jobs.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InvalidInput(f"another gradgauge is writing to {folder}: choose another --out") from None
            for leftover in store.jobs.glob("*.part"):
                leftover.unlink()
            write_atomically(folder / MARK, msgspec.json.encode({"schema": SCHEMA, **about}))
            yield store

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Open a run folder for reading; refuses a folder that is no run."""
        if not (folder / MARK).is_file():
            raise InvalidInput(f"{folder} is no run: it has no {MARK}. Runs are made by: gradgauge run --out {folder}")
        schema = msgspec.json.decode((folder / MARK).read_bytes()).get("schema")
        if schema != SCHEMA:
            raise InvalidInput(f"{folder} has schema {schema}, this gradgauge reads {SCHEMA}")
        return cls(folder)

    def about(self) -> dict[str, Any]:
        """What the run was made from."""
        about: dict[str, Any] = msgspec.json.decode((self.folder / MARK).read_bytes())
        return about

    def keys(self) -> set[str]:
        """The keys of all records."""
        return {path.stem for path in self.jobs.glob("*.parquet")}

    def status(self, job_key: str) -> Status | None:
        """The status of a record, or None if there is none."""
        path = self._path(job_key)
        if not path.is_file():
            return None
        status: Status = _metadata(pq.read_schema(path))["status"]
        return status

    def is_final(self, job_key: str) -> bool:
        """Whether a job need not run again unless asked."""
        return self.status(job_key) in FINAL

    def write(self, *records: Record) -> None:
        """Write records: all their files are whole before the first is renamed into place."""
        paths = [self._path(record.key) for record in records]
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
        with pq.ParquetFile(path) as file:
            table = file.read(use_threads=False)
        head = _metadata(table.schema)
        return Record(
            job=from_json(Job, msgspec.json.encode(head["job"])),
            status=head["status"],
            reason=head["reason"],
            plan={piece: Origin(*origin) for piece, origin in head["plan"].items()},
            facts=head["facts"],
            table=table.to_pandas(),
        )

    def records(self) -> Iterator[Record]:
        """All records, in the order of their keys."""
        for job_key in sorted(self.keys()):
            yield self.read(job_key)

    def _path(self, job_key: str) -> Path:
        return self.jobs / f"{job_key}.parquet"


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


def _metadata(schema: pa.Schema) -> dict[str, Any]:
    head: dict[str, Any] = msgspec.json.decode(schema.metadata[b"gradgauge"])
    return head


def _sync(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
