"""What asv's records do not hold: devices, drivers, BLAS, threads and flags, beside the results of the same commit.

One file for each commit and environment, ``facts/COMMIT-ENVIRONMENT.facts`` in asv's results: JSON, backend → facts.
asv reads no file of that name. In the present environment asv tells a benchmark neither commit nor name: there the file
is ``present-existing.facts``, and tells of each backend what it was last run with, as asv keeps of each benchmark the
numbers that came last: a run may be of some backends only.
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
    """Add what a worker told of itself; the file is replaced at once, never half written.

    One that was damaged elsewhere is begun anew: facts are no reason to lose a measurement.
    """
    place = path()
    if place is None:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    known = _known(place)
    versions = {name: version for name, version in registry.versions(registry.find(backend)).items() if version}
    here = {"machine": environment.machine(), "python": platform.python_version()}
    known[backend] = {**here, **versions, **facts, **flags}
    beside = place.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(known, indent=1, sort_keys=True))
    beside.replace(place)


def _known(place: Path) -> dict[str, object]:
    """What a file tells already; nothing where it is damaged, which is told."""
    try:
        told = json.loads(place.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
    else:
        if isinstance(told, dict) and all(isinstance(facts, dict) for facts in told.values()):
            return told
        why = "it does not hold facts by backend"
    print(f"{place} is damaged ({why}): it is begun anew, with what is known now", file=sys.stderr)
    return {}
