"""What this machine offers each backend, found out by opening it in a process of its own; and whether clocks lie."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np

from harness import clock, environment, registry
from harness.environment import Interpreter
from harness.errors import WorkerFailed
from harness.execute.process import Process
from harness.frames import Request
from harness.judge import clock as judge
from harness.judge.clock import Finding
from harness.study import interpreter

LIMIT = 120.0  # seconds for the clocks of one device


def examine(threads: int, pythons: Mapping[str, str]) -> list[dict[str, str]]:
    """One row a backend; a backend that is there is really opened, in a process of its own."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda name: _row(name, threads, pythons), registry.declared()))


def clocks(threads: int, pythons: Mapping[str, str]) -> list[Finding]:
    """Whether timings can be trusted, of the machine and of each backend on each of its devices; the verdict last."""
    found = judge.of_machine(clock.examine())  # before anything else runs
    for name, declaration in registry.declared().items():
        python = interpreter(name, pythons)
        missing = environment.ask(python, name).missing
        if missing is not None:
            found.append(Finding(name, "", "left out", missing))
        elif declaration.timed:
            try:
                with closing(Process(name, python, threads)) as worker:
                    for device in declaration.devices:
                        found += _clock_of(name, worker, device)
            except WorkerFailed as error:
                found.append(Finding(name, "", "not trusted", str(error)))
    return [*found, judge.verdict(found)]


def _clock_of(name: str, worker: Process, device: str) -> list[Finding]:
    """The clock of one backend on one device; nothing of a device that is not there."""
    reply = worker.ask(Request("clock", device=device), LIMIT)
    if reply.status == "unsupported":
        return []
    if reply.status != "ok":
        return [Finding(f"{name} {device}", "", "not trusted", reply.reason)]
    seconds = {s.name: np.frombuffer(s.value, "<f8").tolist() for s in reply.series}
    return judge.of_backend(name, device, seconds)


def _row(name: str, threads: int, pythons: Mapping[str, str]) -> dict[str, str]:
    python = interpreter(name, pythons)
    found = environment.ask(python, name)
    row = {"backend": name, "state": "ok", "python": found.python, "versions": _pairs(found.packages)}
    row["devices"] = ", ".join(_device(device, found) for device in registry.find(name).devices)
    if found.missing is not None:
        return {**row, "state": "unavailable", "facts": found.missing}
    try:
        worker = Process(name, python, threads)
    except WorkerFailed as error:
        return {**row, "state": "broken", "facts": str(error)}
    worker.close()
    flags = registry.find(name).environment(threads)
    return {**row, "facts": _pairs(worker.facts), "flags": _pairs(flags)}


def _device(device: str, found: Interpreter) -> str:
    """A device, and what it needs beside what its backend needs everywhere, or the cure."""
    offer = found.devices.get(device)
    if offer is None or found.missing is not None:
        return device
    told = offer.missing or _pairs(offer.packages)
    return f"{device} ({told})" if told else device


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
