"""The arrays that an optimizer works with: those that it keeps, and those that it only passes through."""

import numpy as np

from backends.numpy.flat import Array


class Memory:
    """State is kept from step to step, and counted; scratch is anybody's.

    Blocks of parameters take their turns, so they share their scratch: the first array that one asks for is the first
    that another asks for, too.
    """

    def __init__(self) -> None:
        self.state_bytes = 0
        self.shared: list[Array] = []
        self.taken = 0

    def turn(self) -> None:
        """The next block, none larger than the first, begins to ask."""
        self.taken = 0

    def state(self, like: Array, value: float = 0.0) -> Array:
        """An array that nobody else has, filled with the value."""
        kept = np.full_like(like, value)
        self.state_bytes += kept.nbytes
        return kept

    def scratch(self, like: Array) -> Array:
        """An array that this block has given no other name, and that holds nothing when its turn comes."""
        if self.taken == len(self.shared):
            self.shared.append(np.empty_like(like))
        self.taken += 1
        return self.shared[self.taken - 1][: like.size]
