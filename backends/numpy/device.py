"""Where a run's arrays are, and what NumPy's calls cannot say of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from backends.numpy.flat import HERE, Array


class Device(Protocol):
    """What a trainer asks of the place that its arrays are in."""

    like: Array  # an array there, beside which all others are made

    def fence(self) -> None:
        """Return when all that was begun is done."""
        ...

    def fetch(self, array: Array) -> Array:
        """The array on the host, when all that was begun before is done."""
        ...

    def write(self, into: Array, values: Array) -> None:
        """Values from the host into an array that lies in one piece."""
        ...

    def generator(self) -> Any:
        """A generator of random numbers, always the same at first."""
        ...

    def draw(self, generator: Any, into: Array) -> None:
        """Independent numbers from [0, 1)."""
        ...

    def undrawn(self, generator: Any) -> Any:
        """A context after which the generator gives again what it gave in it."""
        ...


def find(name: str) -> Device:
    """The place that a cell calls so."""
    if name == "cpu":
        return Host()
    from backends.numpy.cuda import Cuda  # CuPy is there where a GPU is asked for, and need not be elsewhere

    return Cuda()


class Host:
    """NumPy itself."""

    like = HERE

    def fence(self) -> None:
        """NumPy returns when it is done."""

    def fetch(self, array: Array) -> Array:
        return array

    def write(self, into: Array, values: Array) -> None:
        into[...] = values

    def generator(self) -> np.random.Generator:
        return np.random.Generator(np.random.SFC64(0))

    def draw(self, generator: np.random.Generator, into: Array) -> None:
        generator.random(out=into, dtype=into.dtype)

    @contextmanager
    def undrawn(self, generator: np.random.Generator) -> Iterator[None]:
        state = generator.bit_generator.state
        yield
        generator.bit_generator.state = state
