"""Who ran, as the page shows it: names that tell environments apart, and a colour for each."""

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

from harness import registry
from harness.backend import Declaration
from harness.errors import InvalidInput
from harness.judge import speed
from harness.report.words import counted
from harness.spec.job import Environment, Job

# The colour of each backend in every figure, as a number of the style sheet's palette; others take what is left.
COLOURS = {"reference": 0, "numpy": 1, "torch": 2, "tensorflow": 3, "jax": 4}
SERIES = 10


class Contender(NamedTuple):
    """A backend in one environment, as the page shows it; ``series`` is its colour."""

    name: str  # the backend, with what tells it from others of its kind: "torch (torch 2.12.0)"
    backend: str
    title: str
    environment: Environment
    declaration: Declaration | None
    series: int

    def mode(self, asked: str) -> str:
        """The mode that ran."""
        return self.declaration.modes[0] if asked == "default" and self.declaration is not None else asked

    @property
    def compiles(self) -> str:
        """What its first call compiles."""
        return self.declaration.compiles if self.declaration is not None else "unknown"

    @property
    def version(self) -> str:
        """The versions of what it needs."""
        own = [name for name in self.environment.packages if name != "numpy"] or ["numpy"]
        return " ".join(f"{name} {self.environment.packages.get(name, '')}" for name in own)

    @property
    def threads(self) -> str:
        """Its threads in words."""
        return counted(self.environment.threads, "thread")


def contenders(jobs: Iterable[Job]) -> dict[speed.Contender, Contender]:
    """Every contender, with a name that tells it apart and a colour of its own."""
    by_backend: dict[str, dict[speed.Contender, Environment]] = {}
    for job in jobs:
        by_backend.setdefault(job.cell.backend, {})[speed.contender(job)] = job.environment
    found: dict[speed.Contender, Contender] = {}
    spare = itertools.cycle(range(len(COLOURS), SERIES))
    for backend in sorted(by_backend, key=lambda name: (COLOURS.get(name, SERIES), name)):
        declaration = _declaration(backend)
        title = declaration.title if declaration is not None else backend
        names = sorted((name, identity) for identity, name in _names(backend, by_backend[backend]).items())
        for position, (name, identity) in enumerate(names):
            series = COLOURS[backend] if backend in COLOURS and not position else next(spare)
            found[identity] = Contender(name, backend, title, by_backend[backend][identity], declaration, series)
    return found


def _names(backend: str, environments: dict[speed.Contender, Environment]) -> dict[speed.Contender, str]:
    """Names for one backend's environments: what differs is told until all names differ."""
    packages = {name for environment in environments.values() for name in environment.packages}
    aspects: list[Callable[[Environment], str]] = [
        *(functools.partial(_package, name=name) for name in sorted(packages, key=lambda n: (n == "numpy", n))),
        lambda e: f"Python {e.python}",
        lambda e: counted(e.threads, "thread"),
        lambda e: e.machine,
        lambda e: f"code {e.code[:6]}",
        lambda e: " ".join(f"{name}={value}" for name, value in sorted(e.flags.items())),
    ]
    told = dict.fromkeys(environments, "")
    for aspect in aspects:
        texts = {identity: aspect(environment) for identity, environment in environments.items()}
        if len(set(told.values())) < len(told) and len(set(texts.values())) > 1:
            told = {identity: f"{words}, {texts[identity]}".strip(", ") for identity, words in told.items()}
    return {identity: f"{backend} ({words})" if words else backend for identity, words in told.items()}


def _package(environment: Environment, name: str) -> str:
    return f"{name} {environment.packages.get(name, 'absent')}"


def _declaration(backend: str) -> Declaration | None:
    """The backend's declaration, if this installation knows it."""
    try:
        return registry.find(backend)
    except InvalidInput:
        return None
