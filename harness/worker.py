"""One interpreter, one backend: jobs in, records out.

Started as ``python -m harness.worker --backend NAME --threads N`` with the environment variables of the backend's
declaration. Frames go over the original standard output; before anything else is imported, descriptor 1 is
pointed at standard error, so that a library that prints breaks nothing.
"""

import os

_FRAMES = os.dup(1)
os.dup2(2, 1)

import argparse  # noqa: E402  everything that could print comes after the descriptors are safe
import functools  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402

from harness import frames, gpu, registry  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.environment import PROTOCOL  # noqa: E402
from harness.errors import GradgaugeError, Unsupported  # noqa: E402
from harness.frames import Hello, Reply, Request  # noqa: E402
from harness.measure import agreement, clock, convergence, health, memory, speed  # noqa: E402
from harness.measure.run import Builder, Outcome, Run  # noqa: E402
from harness.measure.speed import Stopwatch  # noqa: E402
from harness.problems import task as tasks  # noqa: E402
from harness.spec.base import from_json  # noqa: E402
from harness.spec.job import Agreement, Convergence, FirstCall, Health, Job, Memory, Speed  # noqa: E402

_task = functools.lru_cache(maxsize=8)(tasks.make)


class Worker:
    """Answers requests about one backend."""

    def __init__(self, backend: Backend, import_seconds: float) -> None:
        self.backend = backend
        self.import_seconds = import_seconds
        self.builder = Builder(backend)
        self.stopwatch: Stopwatch | None = None

    def answer(self, request: Request) -> Reply:
        """Do what is asked; whatever goes wrong becomes a reply with its reason."""
        try:
            return self._answer(request)
        except Unsupported as error:
            return Reply("unsupported", str(error))
        except GradgaugeError as error:
            return Reply("failed", str(error))
        except Exception as error:  # noqa: BLE001  a framework may raise anything; the record keeps what and where
            traceback.print_exc()
            where = traceback.extract_tb(error.__traceback__)[-1]
            return Reply(
                "failed", f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})"
            )

    def _answer(self, request: Request) -> Reply:
        if request.do == "block":
            assert self.stopwatch is not None, "block before open"
            return Reply("ok", **self.stopwatch.block()._asdict())
        if request.do == "close":
            assert self.stopwatch is not None, "close before open"
            self._stop()
            return Reply("ok")
        if request.do == "clock":
            return Reply("ok", series=clock.measure(self.backend, request.device))
        job = from_json(Job, request.job)
        task = _task(job.cell.problem)
        plan = {piece: tuple(origin) for piece, origin in self.backend.plan(job.cell, task.parameters).items()}
        run = self.builder.open(job.cell, task, tasks.initial(task, job.cell.seed))
        outcome = self._measure(job, run)
        status, reason = "ok", ""
        if outcome.diverged is not None:
            status, reason = "diverged", f"the loss is not finite from step {outcome.diverged}"
        facts = {**_facts(self.backend), **(self.stopwatch.facts() if self.stopwatch is not None else {})}
        return Reply(status, reason, plan, facts, outcome.series)  # type: ignore[arg-type]

    def _stop(self) -> None:
        if self.stopwatch is not None:
            self.stopwatch.close()
            self.stopwatch = None

    def _measure(self, job: Job, run: Run) -> Outcome:
        match job.measure:
            case Agreement():
                return agreement.measure(run, job.measure)
            case Convergence():
                return convergence.measure(run, job.measure)
            case Health():
                return health.measure(run, job.measure)
            case FirstCall():
                return speed.first_call(run, self.import_seconds)
            case Memory():
                return memory.measure(run, job.measure, self.backend)
            case Speed():
                self._stop()  # one that failed was never closed
                self.stopwatch = Stopwatch(run, job.measure, job.environment.threads)
                return Outcome([])


def _facts(backend: Backend) -> dict[str, str]:
    """What the framework says, and what the driver says of the machine's GPUs."""
    return {**backend.facts(), **gpu.facts()}


def main() -> None:
    """Open the backend, say hello, answer until the stream ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", required=True)
    parser.add_argument("--threads", type=int, required=True)
    asked = parser.parse_args()
    threading.Thread(target=_die_with_parent, args=(os.getppid(),), daemon=True).start()
    started = time.perf_counter()
    backend = registry.find(asked.backend).open(asked.threads)
    worker = Worker(backend, time.perf_counter() - started)
    with os.fdopen(_FRAMES, "wb") as out:
        versions = {**backend.versions()}
        frames.write(out, Hello(PROTOCOL, platform.python_version(), versions, _facts(backend)))
        while isinstance(request := frames.read(sys.stdin.buffer), Request):
            frames.write(out, worker.answer(request))


def _die_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone, even in the middle of a hung job."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main()
