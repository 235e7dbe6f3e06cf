"""The clock and the noise of this machine, measured in this process: nothing here needs a framework."""

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from harness.spec.job import Speed

SLEEPS, SLEEP = 10, 0.05  # seconds
PAIRS = 40
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


class Sleeps(NamedTuple):
    """Known sleeps, as two clocks saw them, and what the machine did meanwhile."""

    asked: float  # seconds
    measured: tuple[float, ...]  # by the clock that times blocks
    raw: tuple[float, ...]  # by the kernel's raw clock, which nothing adjusts; empty where there is none
    busy: float  # share of all cores that others used
    stolen: float  # share that the host took


class Noise(NamedTuple):
    """The same work, timed in blocks of two sides in turn, as backends are."""

    first: tuple[float, ...]  # seconds of each block
    second: tuple[float, ...]
    stolen: float


class Machine(NamedTuple):
    """What this machine says and shows."""

    step: float  # the smallest step of the clock that was seen, seconds
    sleeps: Sleeps
    noise: Noise
    load: float  # processes that wanted to run, over the last minute
    governor: str  # of the processor's frequency; empty if unreadable


def examine() -> Machine:
    """Measure: a few seconds."""
    load = os.getloadavg()[0]
    governor = _GOVERNOR.read_text().strip() if _GOVERNOR.is_file() else ""
    return Machine(_step(), sleeps(), noise(), load, governor)


def _step() -> float:
    """The smallest time between two different readings."""
    readings = [time.perf_counter() for _ in range(20_000)]
    return min(b - a for a, b in zip(readings, readings[1:], strict=False) if b > a)


def sleeps() -> Sleeps:
    """Sleep for a known time, again and again."""
    raw_clock = getattr(time, "CLOCK_MONOTONIC_RAW", None)
    measured, raw = [], []
    before = _spent()
    for _ in range(SLEEPS):
        raw_start = time.clock_gettime(raw_clock) if raw_clock is not None else 0.0
        start = time.perf_counter()
        time.sleep(SLEEP)
        measured.append(time.perf_counter() - start)
        if raw_clock is not None:
            raw.append(time.clock_gettime(raw_clock) - raw_start)
    busy, stolen = _shares(before)
    return Sleeps(SLEEP, tuple(measured), tuple(raw), busy, stolen)


def noise(pairs: int = PAIRS) -> Noise:
    """Blocks of some milliseconds' steps, as long as a run's: A B, B A, A B, …"""
    values = np.linspace(0, 1, 100_000, dtype=np.float32)
    out = np.empty_like(values)

    def step() -> None:
        np.tanh(values, out=out)

    steps = max(1, round(Speed().block_seconds / min(_timed(step, 5) for _ in range(5))))
    sides: tuple[list[float], list[float]] = ([], [])
    before = _spent()
    for pair in range(pairs):
        for side in sides if pair % 2 else sides[::-1]:
            side.append(_timed(step, steps))
    return Noise(tuple(sides[0]), tuple(sides[1]), _shares(before)[1])


def _timed(step: Callable[[], None], times: int) -> float:
    """Seconds a step."""
    gc.collect()
    gc.disable()
    try:
        started = time.perf_counter()
        for _ in range(times):
            step()
        return (time.perf_counter() - started) / times
    finally:
        gc.enable()


def _spent() -> dict[str, float]:
    """Seconds of all cores by what they were spent on; guests' are among the user's already."""
    times = psutil.cpu_times()._asdict()
    return {name: seconds for name, seconds in times.items() if not name.startswith("guest")}


def _shares(before: dict[str, float]) -> tuple[float, float]:
    """The shares of all cores' time since ``before`` that were busy and that were stolen."""
    spent = {name: now - before[name] for name, now in _spent().items()}
    total = sum(spent.values())
    idle, stolen = spent["idle"] + spent.get("iowait", 0.0), spent.get("steal", 0.0)
    return (total - idle - stolen) / total, stolen / total
