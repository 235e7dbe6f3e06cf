"""The arrays that an optimizer works with: those that it keeps, and those that it only passes through."""

import numpy as np

from backends.numpy.flat import Array, aligned, on_host


class Memory:
    """State is kept from step to step, and counted; scratch is anybody's.

    Blocks of parameters take their turns, so they share their scratch: the first array that one asks for is the first
    that another asks for, too.
    """

    def __init__(self) -> None:
        self.kept: list[Array] = []
        self.shared: list[Array] = []
        self.taken = 0

    def turn(self) -> None:
        """The next block, none larger than the first, begins to ask."""
        self.taken = 0

    def state(self, like: Array, value: float = 0.0) -> Array:
        """An array that nobody else has, filled with the value."""
        self.kept.append(aligned(like.size, like.dtype, like))
        self.kept[-1].fill(value)
        return self.kept[-1]

    def scratch(self, like: Array) -> Array:
        """An array that this block has given no other name, and that holds nothing when its turn comes."""
        if self.taken == len(self.shared):
            self.shared.append(aligned(like.size, like.dtype, like))
        self.taken += 1
        return self.shared[self.taken - 1][: like.size]

    def arrays(self) -> int:
        """How many have been given, the same scratch counted once."""
        return len(self.kept) + len(self.shared)

    def state_bytes(self) -> int:
        """Of all that is kept."""
        return sum(array.nbytes for array in self.kept)


def number(value: float, like: Array) -> Array | float:
    """An array without axes, which an operation takes 0.4 µs faster than a float: it need not make one first.

    A float for CuPy, whose kernels take it as an argument and an array from memory.
    """
    return np.array(value, like.dtype) if on_host(like) else value
