"""Runs jobs on this machine: untimed ones in parallel, timed ones alone and interleaved."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd
from msgspec.structs import replace as replace_spec

from harness import estimate
from harness.environment import cores
from harness.errors import WorkerFailed
from harness.execute.process import Process, TimedOut
from harness.execute.records import record
from harness.execute.timing import Timing, timings
from harness.frames import Reply, Request
from harness.measure.series import table
from harness.spec.base import key, to_json
from harness.spec.job import COLD, FINAL, TIMED, FirstCall, Job
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
Part = Callable[[Job, float], None]  # told when such a share of a job is done


class Local:
    """Local execution into one store. Use as a context manager: leaving it ends all workers."""

    def __init__(self, store: Store, settings: Settings, done: Done, part: Part = lambda job, share: None) -> None:
        self.store, self.settings, self.done, self.part = store, settings, done, part
        self.workers: dict[str, Process] = {}
        self.stop = threading.Event()

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for worker in self.workers.values():
            worker.close()

    def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs and write their records; untimed ones first, timed ones in new processes."""
        self._parallel([job for job in jobs if not isinstance(job.measure, TIMED)])
        for job in jobs:
            if isinstance(job.measure, COLD):
                self._write(self._cold(job))
        every = timings(jobs)
        for first in range(0, len(every), estimate.TOGETHER):  # killed, a run has to time so many again
            self._timed(every[first : first + estimate.TOGETHER])

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
        found = record(job, self._ask(job, "run"))
        worker = self.workers.get(job.cell.backend)
        if worker is not None and worker.resident_bytes() > FAT:
            self._bury(job.cell.backend)
        return found

    def _cold(self, job: Job) -> Record:
        """A job in new processes with empty caches, alone on the machine; their series are joined."""
        processes = job.measure.processes if isinstance(job.measure, FirstCall) else 1
        replies: list[Reply] = []
        for _ in range(processes):
            self._bury(job.cell.backend)
            replies.append(self._ask(job, "run"))
        broken = [reply for reply in replies if reply.status != "ok"]
        if broken:
            return record(job, broken[0])
        tables = [table(reply.series).assign(step=process) for process, reply in enumerate(replies)]
        return replace(record(job, replies[0]), table=pd.concat(tables, ignore_index=True))

    def _timed(self, some: Sequence[Timing]) -> None:
        """One process after the other, each over all these comparisons: so they are as far apart as they can be."""
        for process in range(max(timing.measure.processes for timing in some)):
            for backend in list(self.workers):
                self._bury(backend)
            for timing in some:
                if process < timing.measure.processes:
                    timing.process(self._ask, self._slots())
                    for job in timing.jobs.values():
                        self.part(job, 1 / timing.measure.processes)
        for timing in some:
            self._write(*timing.finished())

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
        for one in records:
            self.done(one)


def pending(jobs: Sequence[Job], store: Store, retry: bool) -> list[Job]:
    """The jobs that have no record; with ``retry`` also those that failed or ran out of time."""
    statuses = {key(job): store.status(key(job)) for job in jobs}
    return [job for job in jobs if statuses[key(job)] is None or (retry and statuses[key(job)] not in FINAL)]


def _alike(job: Job) -> str:
    """Jobs that share compiled code stand together."""
    return key(replace_spec(job.cell, seed=0, backend="")) + key(job.measure)
