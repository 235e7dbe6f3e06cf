"""What this machine offers each backend, found out by opening it in a process of its own."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from harness import environment, registry
from harness.errors import WorkerFailed
from harness.execute.process import Process
from harness.study import interpreter


def examine(threads: int, pythons: Mapping[str, str]) -> list[dict[str, str]]:
    """One row a backend; a backend that is there is really opened, in a process of its own."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda name: _row(name, threads, pythons), registry.declared()))


def _row(name: str, threads: int, pythons: Mapping[str, str]) -> dict[str, str]:
    python = interpreter(name, pythons)
    found = environment.ask(python, name)
    row = {"backend": name, "state": "ok", "python": found.python, "versions": _pairs(found.packages)}
    if found.missing is not None:
        return {**row, "state": "unavailable", "facts": found.missing}
    try:
        worker = Process(name, python, threads)
    except WorkerFailed as error:
        return {**row, "state": "broken", "facts": str(error)}
    worker.close()
    flags = registry.find(name).environment(threads)
    return {**row, "facts": _pairs(worker.facts), "flags": _pairs(flags)}


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
