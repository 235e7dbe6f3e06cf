"""Bytes: the most memory that training takes above what was there before, and what the optimizer keeps."""

import gc
import resource
import sys
from pathlib import Path

import psutil

from harness.backend import Backend
from harness.measure.run import Outcome, Run
from harness.measure.series import series
from harness.spec.job import Memory


def measure(run: Run, what: Memory, backend: Backend) -> Outcome:
    """Build a trainer and make some steps, in a process in which nothing was trained before.

    Series ``host_bytes``: the peak of the resident set above what it was with the framework imported and the data
    loaded. ``device_bytes``: the peak on the device, where it has a memory of its own. ``state_bytes``: what the
    optimizer keeps from step to step. ``parameters``: their number.
    """
    backend.peak_bytes(run.cell.device)  # forgets what was before, where a device can
    gc.collect()
    _forget_peak()
    before = psutil.Process().memory_info().rss
    trainer = run.trainer()
    trainer.train(run.extended(what.steps))
    found = {"host_bytes": max(0, peak_bytes() - before), "state_bytes": trainer.state_bytes()}
    on_device = backend.peak_bytes(run.cell.device)
    if on_device is not None:
        found["device_bytes"] = on_device
    found["parameters"] = sum(values.size for values in run.start.values())
    return Outcome([series(name, [float(number)]) for name, number in found.items()])


def peak_bytes() -> int:
    """The largest resident set of this process since the peak was forgotten; where it cannot be, since its start."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2) counts bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _forget_peak() -> None:
    """Linux: 5 in ``clear_refs`` resets the high-water mark (proc(5))."""
    marks = Path("/proc/self/clear_refs")
    if marks.exists():
        marks.write_text("5")
