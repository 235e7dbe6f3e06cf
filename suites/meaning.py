"""What results of asv's must share to be compared over commits.

A version is what a figure means, a number that is raised by hand, and a hash of what is computed and how it is
measured: the specs of the problems, recipes and settings. ``tests/suites`` fail where the code that measures has
changed and nobody has said whether the figures still mean the same.
"""

import hashlib
from collections.abc import Iterable

from harness.spec.base import Spec, key

# 2: a timed worker is held to as many cores as it has threads. 3: a block warms up for a quarter of its length
MEANING = 3


def version(specs: Iterable[Spec]) -> str:
    """The meaning, and a hash of these specs."""
    digest = hashlib.sha256(" ".join(key(spec) for spec in specs).encode()).hexdigest()
    return f"{MEANING}-{digest[:16]}"
