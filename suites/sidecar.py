"""What asv's records do not hold: devices, drivers, BLAS, threads and flags, beside the results of the same commit.

One file for each commit and environment, ``facts/COMMIT-ENVIRONMENT.facts`` in asv's results: JSON, backend → facts.
asv reads no file of that name. In the present environment asv tells a benchmark neither commit nor name: there the file
is ``present-existing.facts``, and tells of the latest run.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from harness import environment, registry

RESULTS = Path(".asv", "results")
SCRIPT = ("asv", "benchmark.py")  # what asv starts a benchmark's process with


def path() -> Path | None:
    """Where this process's facts belong: beside asv's configuration; None where asv does not run, or has no results."""
    beside = _beside()
    if beside is None or not (folder := beside / RESULTS).is_dir():
        return None
    commit = os.environ.get("ASV_COMMIT", "present")[:8]
    name = Path(os.environ.get("ASV_ENV_NAME", "existing")).name
    return folder / "facts" / f"{commit}-{name}.facts"


def _beside() -> Path | None:
    """The folder of asv's configuration, which asv works in; in the present environment it does not tell it."""
    told = os.environ.get("ASV_CONF_DIR")
    if told is None and Path(sys.argv[0]).parts[-2:] == SCRIPT:
        told = psutil.Process(os.getppid()).cwd()
    return None if told is None else Path(told)


def note(backend: str, facts: Mapping[str, str], flags: Mapping[str, str]) -> None:
    """Add what a worker told of itself; the file is replaced at once, never half written."""
    place = path()
    if place is None:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(place.read_text()) if place.exists() else {}
    versions = {name: version for name, version in registry.versions(registry.find(backend)).items() if version}
    here = {"machine": environment.machine(), "python": platform.python_version()}
    known[backend] = {**here, **versions, **facts, **flags}
    beside = place.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(known, indent=1, sort_keys=True))
    beside.replace(place)
