"""Runs jobs on this machine: untimed ones in parallel, timed ones alone and interleaved."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from msgspec.structs import replace as replace_spec

from harness import estimate
from harness.backend import Origin
from harness.environment import cores
from harness.errors import WorkerFailed
from harness.execute.process import Process, TimedOut
from harness.frames import Reply, Request
from harness.measure.series import Series, series, table
from harness.spec.base import key, to_json
from harness.spec.job import COLD, FINAL, TIMED, FirstCall, Job, Speed
from harness.store import Record, Store
from harness.study import DEFAULT_THREADS, interpreter

SLICE_SECONDS = 2.0  # a slot stays with one backend's warm worker for this long, then looks where most is left to do
FAT = 3 << 30  # bytes; frameworks keep something of every graph that they traced


@dataclass(frozen=True)
class Settings:
    """How jobs are run."""

    threads: int = DEFAULT_THREADS
    limit: float = 120.0  # seconds a job may take
    pythons: Mapping[str, str] = field(default_factory=dict)


Done = Callable[[Record], None]


class Local:
    """Local execution into one store. Use as a context manager: leaving it ends all workers."""

    def __init__(self, store: Store, settings: Settings, done: Done) -> None:
        self.store, self.settings, self.done = store, settings, done
        self.workers: dict[str, Process] = {}
        self.stop = threading.Event()

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for worker in self.workers.values():
            worker.close()

    def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs and write their records; untimed ones first, so that timed ones find warm workers."""
        self._parallel([job for job in jobs if not isinstance(job.measure, TIMED)])
        for job in jobs:
            if isinstance(job.measure, COLD):
                self._write(self._cold(job))
        groups: dict[str, list[Job]] = {}
        for job in jobs:
            if isinstance(job.measure, Speed):
                groups.setdefault(comparison(job), []).append(job)
        for group in groups.values():
            self._interleaved(group)

    def _parallel(self, jobs: Sequence[Job]) -> None:
        queues: dict[str, deque[Job]] = {}
        for job in sorted(jobs, key=_alike):
            queues.setdefault(job.cell.backend, deque()).append(job)
        busy: set[str] = set()
        lock = threading.Lock()
        failures: list[BaseException] = []

        def slot() -> None:
            try:
                while not self.stop.is_set():
                    with lock:
                        free = [name for name, queue in queues.items() if queue and name not in busy]
                        if not free:
                            return
                        backend = max(free, key=lambda name: sum(map(estimate.seconds, queues[name])))
                        busy.add(backend)
                    until = time.monotonic() + SLICE_SECONDS
                    while queues[backend] and time.monotonic() < until and not self.stop.is_set():
                        self._write(self._one(queues[backend].popleft()))
                    with lock:
                        busy.discard(backend)
            except BaseException as error:  # noqa: BLE001  carried to the main thread, which raises it
                failures.append(error)
                self.stop.set()

        threads = [threading.Thread(target=slot, daemon=True) for _ in range(self._slots())]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(timeout=0.2)  # in short waits, so that an interrupt is heard
        if failures:
            raise failures[0]

    def _slots(self) -> int:
        """How many workers may compute at once."""
        return max(1, cores() // self.settings.threads)

    def _one(self, job: Job) -> Record:
        """One job in its backend's warm worker; one that has grown fat makes room for a new one."""
        record = _record(job, self._ask(job, "run"))
        worker = self.workers.get(job.cell.backend)
        if worker is not None and worker.resident_bytes() > FAT:
            self._bury(job.cell.backend)
        return record

    def _cold(self, job: Job) -> Record:
        """A job in new processes with empty caches, alone on the machine; their series are joined."""
        processes = job.measure.processes if isinstance(job.measure, FirstCall) else 1
        replies: list[Reply] = []
        for _ in range(processes):
            self._bury(job.cell.backend)
            replies.append(self._ask(job, "run"))
        broken = [reply for reply in replies if reply.status != "ok"]
        if broken:
            return _record(job, broken[0])
        tables = [table(reply.series).assign(step=process) for process, reply in enumerate(replies)]
        return replace(_record(job, replies[0]), table=pd.concat(tables, ignore_index=True))

    def _interleaved(self, group: Sequence[Job]) -> None:
        """Blocks of every backend in turn, A B C D B C D A, the machine to themselves."""
        with ThreadPoolExecutor(self._slots()) as pool:  # opening compiles and is not timed
            replies = list(pool.map(lambda job: self._ask(job, "open"), group))
        records = {job.cell.backend: _record(job, reply) for job, reply in zip(group, replies, strict=True)}
        timed: dict[str, list[Reply]] = {name: [] for name, record in records.items() if record.status == "ok"}
        measure = group[0].measure
        assert isinstance(measure, Speed)
        for turn in range(measure.blocks):
            names = list(timed)
            shift = turn % max(len(names), 1)
            for name in names[shift:] + names[:shift]:  # nobody is always first
                reply = self._ask(records[name].job, "block")
                if reply.status == "ok":
                    timed[name].append(reply)
                else:
                    records[name] = _record(records[name].job, reply)
                    del timed[name]
        session = {"session": f"{time.time_ns():x}"}  # ratios are paired within a session only
        for name, blocks in timed.items():
            found = table(_of_blocks(blocks))
            records[name] = replace(records[name], facts={**records[name].facts, **session}, table=found)
            self._ask(records[name].job, "close")
        self._write(*records.values())

    def _ask(self, job: Job, what: Literal["run", "open", "block", "close"]) -> Reply:
        """Ask the job's backend; a worker that dies or hangs makes a reply with that status."""
        backend = job.cell.backend
        try:
            if backend not in self.workers:
                python = interpreter(backend, self.settings.pythons)
                self.workers[backend] = Process(backend, python, self.settings.threads)
            return self.workers[backend].ask(Request(what, to_json(job)), self.settings.limit)
        except WorkerFailed as error:
            if backend in self.workers:
                self.workers.pop(backend).kill()
            return Reply("timeout" if isinstance(error, TimedOut) else "failed", str(error))

    def _bury(self, backend: str) -> None:
        """End the backend's worker, if there is one."""
        if backend in self.workers:
            self.workers.pop(backend).close()

    def _write(self, *records: Record) -> None:
        self.store.write(*records)
        for record in records:
            self.done(record)


def pending(jobs: Sequence[Job], store: Store, retry: bool) -> list[Job]:
    """The jobs that have no record; with ``retry`` also those that failed or ran out of time."""
    statuses = {key(job): store.status(key(job)) for job in jobs}
    return [job for job in jobs if statuses[key(job)] is None or (retry and statuses[key(job)] not in FINAL)]


def comparison(job: Job) -> str:
    """What timed jobs must share to be measured in turn: everything but the backend."""
    return key(replace_spec(job.cell, backend="")) + key(job.measure)


def _alike(job: Job) -> str:
    """Jobs that share compiled code stand together."""
    return key(replace_spec(job.cell, seed=0, backend="")) + key(job.measure)


def _of_blocks(blocks: Sequence[Reply]) -> list[Series]:
    """Seconds a step of each block, and the bandwidth beside it where that was measured."""
    found = [series("step_seconds", [block.seconds for block in blocks], np.arange(len(blocks)))]
    widths = [block.bandwidth for block in blocks if block.bandwidth is not None]
    return [*found, series("bandwidth", widths, np.arange(len(widths)))] if widths else found


def _record(job: Job, reply: Reply) -> Record:
    plan = {piece: Origin(*origin) for piece, origin in reply.plan.items()}  # type: ignore[arg-type]  # as sent
    return Record(job, reply.status, reply.reason, plan, reply.facts, table(reply.series))
