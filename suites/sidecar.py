"""What asv's records do not hold: devices, drivers, BLAS, threads and flags, beside the results of the same commit.

One file for each commit and environment, ``facts/COMMIT-ENVIRONMENT.facts`` in asv's results: JSON, backend → facts.
asv reads no file of that name.
"""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from harness import environment, registry

RESULTS = Path(".asv", "results")


def path() -> Path | None:
    """Where this process's facts belong; None outside asv."""
    folder, name = os.environ.get("ASV_CONF_DIR"), os.environ.get("ASV_ENV_NAME")
    if not folder or not name:
        return None
    commit = os.environ.get("ASV_COMMIT", "")[:8] or "present"
    return Path(folder, RESULTS, "facts", f"{commit}-{name.rpartition(os.sep)[2]}.facts")


def note(backend: str, facts: Mapping[str, str]) -> None:
    """Add what a worker told of itself; the file is replaced at once, never half written."""
    place = path()
    if place is None:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(place.read_text()) if place.exists() else {}
    declaration = registry.find(backend)
    versions = {name: version for name, version in registry.versions(declaration).items() if version}
    flags = declaration.environment(int(os.environ.get("GRADGAUGE_THREADS", "1")))
    known[backend] = {"machine": environment.machine(), "python": platform.python_version(), **versions, **facts, **flags}
    beside = place.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(known, indent=1, sort_keys=True))
    beside.replace(place)


