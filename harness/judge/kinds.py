"""What comparisons are of: kinds of measurement, in which lower is always better, and what one side found."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.judge.ratio_interval import Quartiles


class Key(NamedTuple):
    """What is compared, in words that tell it apart from all else of its side."""

    who: str  # a backend, or a contender of asv's
    what: str
    measure: str


class Kind(NamedTuple):
    """What a measurement is of, and the words for less and more of it."""

    unit: str
    better: str
    worse: str
    found: str = ""  # where an infinite one became finite
    lost: str = ""


SECONDS = Kind("s", "faster", "slower")
BYTES = Kind("bytes", "smaller", "larger")
STEPS = Kind("steps", "fewer", "more", "reaches the target again", "no longer reaches the target")
LEVEL = Kind("", "lower", "higher", "no longer diverges", "now diverges")
FAILED = Kind("runs", "no longer fails", "now fails")  # how many
DIVERGED = Kind("", "no longer diverges", "now diverges")


@dataclass(frozen=True)
class Measurement:
    """What one side found: values by block, seed or number; one alone, or several."""

    kind: Kind
    values: Mapping[int, float]
    pairing: str = ""  # values of two sides with the same pairing belong together, label by label
    noisy: bool = True  # by a clock, say; else the same program gives the same number again
    quartiles: Quartiles | None = None  # of values that were not kept; ``values`` is then their median
    processes: tuple[float, ...] = ()  # the median of each of several, over the pace of its core
    pace: str = ""  # whose that is: over another one's, numbers cannot be compared
    failed: str = ""  # why there are no values, or of runs that failed why the first did

    @property
    def median(self) -> float:
        """The median value; infinite where half of them are."""
        return median(sorted(self.values.values())) if self.values else math.nan

    @property
    def size(self) -> int:
        """How many values there are, or were."""
        return self.quartiles.size if self.quartiles is not None else len(self.values)

    @property
    def spread(self) -> Quartiles:
        """The quartiles."""
        low, high = np.quantile(list(self.values.values()), (0.25, 0.75))
        return self.quartiles or Quartiles(float(low), float(high), self.size)


def median(ordered: Sequence[float]) -> float:
    """The median, where values may be infinite."""
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2
