"""One comparison's timed jobs: blocks of every contender in turn, in one process of each after the other."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

import numpy as np
from msgspec.structs import replace as replace_spec

from harness.execute.records import record
from harness.frames import Reply
from harness.measure.series import Series, series, table
from harness.spec.base import key
from harness.spec.job import Job, Speed
from harness.store import Record

Ask = Callable[[Job, Literal["open", "block", "close"]], Reply]


class Timing:
    """Jobs that differ in their backend alone, and what is known of them so far."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = {job.cell.backend: job for job in jobs}
        measure = jobs[0].measure
        assert isinstance(measure, Speed)
        self.measure = measure
        self.session = f"{time.time_ns():x}"  # ratios are paired within a session only
        self.records: dict[str, Record] = {}
        self.blocks: dict[str, list[Reply]] = {name: [] for name in self.jobs}  # of those that have not failed

    def process(self, ask: Ask, slots: int) -> None:
        """The blocks of one process of each contender, A B C D B C D A, the machine to themselves."""
        running = [self.jobs[name] for name in self.blocks]
        with ThreadPoolExecutor(slots) as pool:  # opening compiles and is not timed
            replies = list(pool.map(lambda job: ask(job, "open"), running))
        for job, reply in zip(running, replies, strict=True):
            self._note(job, reply)
        for turn in range(self.measure.blocks):
            names = list(self.blocks)
            shift = turn % max(len(names), 1)
            for name in names[shift:] + names[:shift]:  # nobody is always first
                reply = ask(self.jobs[name], "block")
                if reply.status == "ok":
                    self.blocks[name].append(reply)
                else:
                    self._note(self.jobs[name], reply)
        for name in self.blocks:
            ask(self.jobs[name], "close")

    def finished(self) -> list[Record]:
        """A record of each job, with its blocks; of those that failed, with the reason."""
        return [
            replace(found, facts={**found.facts, "session": self.session}, table=table(_of_blocks(self.blocks[name])))
            if name in self.blocks
            else found
            for name, found in self.records.items()
        ]

    def _note(self, job: Job, reply: Reply) -> None:
        self.records[job.cell.backend] = record(job, reply)
        if reply.status != "ok":
            del self.blocks[job.cell.backend]


def timings(jobs: Sequence[Job]) -> list[Timing]:
    """The timed ones of these jobs, by what is compared."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        if isinstance(job.measure, Speed):
            groups.setdefault(comparison(job), []).append(job)
    return [Timing(group) for group in groups.values()]


def comparison(job: Job) -> str:
    """What timed jobs must share to be measured in turn: everything but the backend."""
    return key(replace_spec(job.cell, backend="")) + key(job.measure)


def _of_blocks(blocks: Sequence[Reply]) -> list[Series]:
    """Seconds a step of each block, and what was measured beside it."""
    found = [series("step_seconds", [block.seconds for block in blocks], np.arange(len(blocks)))]
    for name in ("pace", "bandwidth"):
        beside = [value for block in blocks if (value := getattr(block, name)) is not None]
        found += [series(name, beside, np.arange(len(beside)))] if beside else []
    return found
