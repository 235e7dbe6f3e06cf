"""How fast the timed core computes at the moment: seconds of the same small product of matrices, again and again.

A virtual core is slower by some per cent for seconds at a time, for its host has other work, and sides of a comparison
that are timed one after the other meet different moments. A product whose arrays stay in the second-level cache, taken
by NumPy right before and right after a block on the same core, is slowed down with it: where it took 1 % longer, steps
took 1.24 % longer in NumPy and 1.47 % in JAX (60 new processes of each, a fit by least squares), for not all that they
touch fits into that cache. Over the pace, medians of two such processes, seconds apart, differed by 1.2 % (standard
deviation; 2.3 % as they were) in NumPy and by 2.2 % (3.1 %) in JAX. What passes over memory told less than nothing, a
loop in Python little: they have moods of their own. The rest is each process's own draw of addresses, which only
several processes average out.
"""

import time
from typing import Any

import numpy as np

ROWS, SIDE = 64, 128  # of a (ROWS, SIDE) and a (SIDE, SIDE) array: 128 KiB with their product
PRODUCTS = 100  # two milliseconds
RESPONSE = 1.25  # per cent of a step for each of the pace: as measured in NumPy, less than in JAX


class Pace:
    """The product, its arrays made once."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.a, self.b = (rng.random((rows, SIDE), dtype=np.float32) for rows in (ROWS, SIDE))
        self.out = np.empty((ROWS, SIDE), np.float32)

    def __call__(self) -> float:
        """Seconds of ``PRODUCTS`` products, after as many that warm the cache."""
        self._products()
        started = time.perf_counter()
        self._products()
        return time.perf_counter() - started

    def facts(self) -> dict[str, str]:
        """What computed it: another NumPy's pace is another yardstick."""
        built: Any = np.show_config(mode="dicts")
        blas = built.get("Build Dependencies", {}).get("blas", {})
        return {"pace": " ".join((f"NumPy {np.__version__},", *map(str, (blas.get("name"), blas.get("version")))))}

    def _products(self) -> None:
        for _ in range(PRODUCTS):
            np.dot(self.a, self.b, self.out)
            np.maximum(self.out, 0, out=self.out)
