"""The same backend under two names, so that it can be timed against itself; and once slowed down on purpose.

``suites.twins:NUMPY_LEFT`` and ``…:NUMPY_RIGHT`` are the NumPy backend, ``…:NUMPY_SLOWED`` is it too, but that each
timed stretch of steps is followed, inside the clock, by a busy wait of a share of its own time: the environment
variable ``SHARE`` says which.
"""

import functools
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness import registry
from harness.backend import Backend, Declaration, Integers, Phase, Trainer

SHARE = "GRADGAUGE_PLANTED_SHARE"


class SlowedBackend:
    """A backend whose trainers are slowed down."""

    def __init__(self, other: Backend) -> None:
        self.other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self.other, name)

    def trainer(self, *arguments: Any) -> "SlowedTrainer":
        """Its trainer, slowed down."""
        return SlowedTrainer(self.other.trainer(*arguments))


class SlowedTrainer:
    """A trainer whose phases take longer by a share of their own time."""

    def __init__(self, other: Trainer) -> None:
        self.other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self.other, name)

    def phase(self, name: Phase, order: Integers) -> Callable[[], None]:
        """The phase, with the wait behind it."""
        go, share = self.other.phase(name, order), float(os.environ[SHARE])

        def slowed() -> None:
            started = time.perf_counter()
            go()
            end = started + (1 + share) * (time.perf_counter() - started)
            while time.perf_counter() < end:
                pass

        return slowed


def _open(backend: str, threads: int) -> SlowedBackend:
    return SlowedBackend(registry.find(backend).open(threads))


open_numpy, open_torch, open_tensorflow, open_jax = (
    functools.partial(_open, backend) for backend in ("numpy", "torch", "tensorflow", "jax")
)


def _twins(backend: str) -> tuple[Declaration, Declaration, Declaration]:
    """Left, right, slowed."""
    one = registry.find(backend)
    names = [f"suites.twins:{backend.upper()}_{side}" for side in ("LEFT", "RIGHT", "SLOWED")]
    left, right, slowed = (replace(one, name=name) for name in names)
    return left, right, replace(slowed, opens=f"suites.twins:open_{backend}")


NUMPY_LEFT, NUMPY_RIGHT, NUMPY_SLOWED = _twins("numpy")
TORCH_LEFT, TORCH_RIGHT, TORCH_SLOWED = _twins("torch")
TENSORFLOW_LEFT, TENSORFLOW_RIGHT, TENSORFLOW_SLOWED = _twins("tensorflow")
JAX_LEFT, JAX_RIGHT, JAX_SLOWED = _twins("jax")
