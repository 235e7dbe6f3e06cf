"""How fast this machine reads and writes memory in place: what an update can at best be held against.

a ← c·a on one array, by NumPy, in as many threads as the update may use, each on a slice of its own: every byte is read
once and written once, which is what in-place updates do (a copy, as in STREAM, writes elsewhere and moves half as
much again where the cache fetches a line before it is overwritten).

The array is as large as all the arrays that the update touches. So an update whose arrays stay in a cache is held
against that cache and not against main memory, which it could beat. A thread's slice has at least 16 KiB: less is in
the first-level cache as well. The best of some rounds counts, as in STREAM (McCalpin 1995). NumPy's call, which takes
longer than the work on a small slice, is no part of it: the same number of calls with 2 KiB each is timed too, and
bandwidth is the difference in bytes over the difference in seconds.
"""

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

SMALLEST, CALL = 1 << 14, 1 << 11  # bytes of a thread's slice, and of what stands for a mere call
ROUNDS = 5
ROUND_SECONDS = 1e-3  # or one pass, where that takes longer

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


class Bandwidth:
    """The bandwidth of in-place scaling at one working set, measured anew at each call."""

    def __init__(self, working_set: int, threads: int) -> None:
        whole = np.ones(max(working_set, SMALLEST * threads) // 4, np.float32)
        self.slices = np.array_split(whole, threads)
        self.calls = [one[: CALL // 4] for one in self.slices]
        self.bytes = 2 * (whole.nbytes - CALL * threads)  # that a pass moves more than a mere call
        self.pool = ThreadPoolExecutor(threads)
        self._passes(self.slices, 1)  # starts the threads
        self.repeats = max(1, round(ROUND_SECONDS / self._passes(self.slices, 1)))

    def __call__(self) -> float:
        """Bytes a second, read plus written."""
        passes = calls = math.inf
        rounds = 0
        while rounds < ROUNDS or passes <= calls:  # again where all the calls were disturbed
            passes = min(passes, self._passes(self.slices, self.repeats))
            calls = min(calls, self._passes(self.calls, self.repeats))
            rounds += 1
        return self.repeats * self.bytes / (passes - calls)

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()

    def _passes(self, slices: Sequence[Array], repeats: int) -> float:
        """Seconds until every thread has scaled its slice so many times."""
        started = time.perf_counter()
        others = [self.pool.submit(_scale, one, repeats) for one in slices[1:]]
        _scale(slices[0], repeats)
        for other in others:
            other.result()
        return time.perf_counter() - started


def _scale(one: Array, repeats: int) -> None:
    factor = np.ones((), np.float32)  # any other number ends at 0 or ∞
    for _ in range(repeats):
        np.multiply(one, factor, out=one)
