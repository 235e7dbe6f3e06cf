"""What a result depends on beside the cell, found out without importing a framework.

``python -m harness.environment BACKEND`` prints what this interpreter offers, so that a worker under another
interpreter can be fingerprinted before it is started.
"""

import functools
import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np

from harness import gpu, registry
from harness.backend import Declaration
from harness.errors import InvalidInput
from harness.problems import task
from harness.spec.base import Spec
from harness.spec.job import Environment
from harness.spec.problem import Problem

PROTOCOL = 1  # of the frames between parent and worker
HOST = "cpu"
_MEASURING = ("backend.py", "worker.py", "spec", "problems", "measure")


class Offer(Spec, frozen=True):
    """What a Python interpreter offers one backend on a device beside the host."""

    packages: dict[str, str]  # what only this device needs
    missing: str | None = None


class Interpreter(Spec, frozen=True):
    """What a Python interpreter offers one backend."""

    protocol: int
    python: str
    packages: dict[str, str]
    code: str
    missing: str | None = None
    devices: dict[str, Offer] = {}

    def lacks(self, device: str) -> str | None:
        """Why the backend cannot run there, with the line that installs what is missing."""
        return self.missing or (self.devices[device].missing if device in self.devices else None)


def describe(declaration: Declaration) -> Interpreter:
    """Describe this interpreter for one backend."""
    packages = {name: version for name, version in registry.versions(declaration).items() if version is not None}
    numpy = registry.versions(Declaration("", "", "", requires=("numpy",)))["numpy"]
    return Interpreter(
        PROTOCOL,
        platform.python_version(),
        {**packages, "numpy": str(numpy)},
        _code(declaration),
        registry.missing(declaration),
        {
            device: Offer(
                {**registry.additional(declaration, device), **gpu.libraries()}, registry.missing(declaration, device)
            )
            for device in declaration.devices
            if device != HOST
        },
    )


@functools.cache
def ask(python: str, backend: str) -> Interpreter:
    """What the interpreter at ``python`` offers a backend; refuses one that is missing or lacks gradgauge."""
    if python == sys.executable:
        return describe(registry.find(backend))
    try:
        done = subprocess.run([python, "-m", "harness.environment", backend], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidInput(f"--python {backend}={python}: cannot run this interpreter ({error})") from None
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise InvalidInput(
            f"--python {backend}={python}: this interpreter lacks gradgauge ({last}): {python} -m pip install gradgauge"
        )
    try:
        found = msgspec.json.decode(done.stdout, type=Interpreter)
    except msgspec.DecodeError:
        raise InvalidInput(
            f"--python {backend}={python}: this is no Python interpreter with gradgauge, or one of another version"
        ) from None
    if found.protocol != PROTOCOL:
        raise InvalidInput(
            f"--python {backend}={python}: its gradgauge speaks protocol {found.protocol}, this one {PROTOCOL}"
        )
    return found


def fingerprint(python: str, backend: str, problem: Problem, threads: int, device: str = HOST) -> Environment:
    """The environment of a job."""
    found = ask(python, backend)
    offer = found.devices.get(device, Offer({}))
    return Environment(
        python=found.python,
        packages={**found.packages, **offer.packages},
        code=found.code,
        data=data_hash(problem),
        machine=machine() if device == HOST else "; ".join((machine(), *gpu.gpus())),
        threads=threads,
        flags=registry.find(backend).environment(threads),
    )


@functools.cache
def data_hash(problem: Problem) -> str:
    """A hash of all arrays of a problem's data."""
    digest = hashlib.sha256()
    made = task.make(problem)
    for name, part in sorted(made.parts.items()):
        for array in (part.x, part.y):
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


@functools.cache
def machine() -> str:
    """The processor's name and the number of cores this process may use."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.partition(":")[2] for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0].strip() if models else name
    return f"{name}, {cores()} cores"


def host() -> str:
    """The name of this machine among others of its kind; empty where the system gives it none."""
    return platform.node()


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _code(declaration: Declaration) -> str:
    """A hash of the sources that compute and measure: the backend's package and the harness's measuring half."""
    house = Path(__file__).parent
    files = [path for name in _MEASURING for path in _sources(house / name)]
    spec = importlib.util.find_spec(declaration.opens.partition(":")[0])
    if spec is not None and spec.origin is not None:
        files += _sources(Path(spec.origin).parent)
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sources(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


if __name__ == "__main__":
    print(msgspec.json.encode(describe(registry.find(sys.argv[1]))).decode())
