"""The cores that a timed process computes on: as many as it has threads, the same ones for every contender.

One core differs from another by what else runs there: left to themselves, 8 of 100 pairs of processes of one program on
two idle cores were 3.3 to 9 % apart for as long as they lived; on one core, none more than 1.0 %. And threads that were
not asked for get no core of their own: neither the one that a framework hands its work to, nor the one that runs its
Python meanwhile.
"""

import contextlib
import os
from collections.abc import Sequence

# Asked for once: a process that is held can no longer tell where it could be.
ALL = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


class Cores:
    """The last ``threads`` cores that this process may use: what else runs on a machine begins at the first."""

    def __init__(self, threads: int) -> None:
        self.chosen = ALL[-threads:]

    def hold(self) -> None:
        """Keep every thread of this process on the chosen cores; where the system cannot (macOS), do nothing."""
        _move(self.chosen)

    def release(self) -> None:
        """Let them go where they could before."""
        _move(ALL)

    def facts(self) -> dict[str, str]:
        """How many cores there are; empty where a process cannot be held to them."""
        return {"cores": str(len(self.chosen))} if self.chosen else {}


def _move(cores: Sequence[int]) -> None:
    if not cores:
        return
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # one that has just ended
            os.sched_setaffinity(int(thread), cores)
