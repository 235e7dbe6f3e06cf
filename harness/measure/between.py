"""What the steps between two observed ones were like, where it matters.

A step that nobody observed may have any length, so a norm that changed across it proves nothing; and a gradient that
nobody saw may have made the next steps long or short. So where a norm changed by more than the steps around make
likely, and where all steps become longer or shorter at once, the run is made once more, each step of the first few such
gaps is observed, and of each it is then known what it did (``findings.changes``, ``health.rate``).
"""

import itertools

import numpy as np

from harness.backend import Floats, Integers
from harness.health.rate import jumps
from harness.health.weights import reach
from harness.measure.series import Series, series
from harness.observation import Layout, Marks, Observed
from harness.spec.architecture import is_weight

FASTER = 4.0  # unobserved steps over the longest observed around them: rates and gradients change within a few steps
AROUND = 6  # observed steps: the two beside a gap, and those before
GAPS = 8  # of either kind looked into, the first of a run: each costs as many observed steps as it is long
OF_STEPS = ("weight_norm", "update_norm", "clipped_norm")


def unlikely(at: Integers, seen: Observed, layout: Layout, factors: Floats) -> frozenset[int]:
    """The steps of the first gaps across which weights or the length of steps changed so, with those at both ends.

    ``factors`` are the schedule's and a plateau's at every step of the run.
    """
    if len(at) < 2 or not set(OF_STEPS) <= set(seen.tensors):
        return frozenset()
    wide = np.diff(at) > 1
    gaps = [*_of_weights(at, seen, layout, wide)[:GAPS], *_of_rates(at, seen, layout, factors, wide)[:GAPS]]
    return frozenset(itertools.chain.from_iterable(range(at[i], at[i + 1] + 1) for i in gaps))


def _of_weights(at: Integers, seen: Observed, layout: Layout, wide: Marks) -> list[int]:
    norms, moves = seen.tensors["weight_norm"], seen.tensors["update_norm"]
    padded = np.pad(moves, ((AROUND - 1, 0), (0, 0)))
    longest = np.lib.stride_tricks.sliding_window_view(padded, AROUND, axis=0).max(axis=-1)[1:]
    moved = moves[:-1] + (np.diff(at)[:, None] - 1) * FASTER * longest
    far = np.abs(np.diff(norms, axis=0)) > reach(norms[:-1], of_layers(norms, layout)[:-1], moved)
    return [int(i) for i in np.flatnonzero((far & np.isfinite(norms[1:])).any(axis=1) & wide)]


def _of_rates(at: Integers, seen: Observed, layout: Layout, factors: Floats, wide: Marks) -> list[int]:
    weights = [is_weight(name) for name in layout.parameters]
    moves, gradients, frozen = (seen.tensors[name][:, weights] for name in ("update_norm", "clipped_norm", "frozen"))
    return [i for i, _ in jumps(moves, gradients, frozen, factors[at]) if wide[i]]


def of_layers(norms: Floats, layout: Layout) -> Floats:
    """For each tensor the largest norm of its layer's; shape (steps, tensors) both."""
    layers = np.array([name.rpartition(".")[0] for name in layout.parameters])
    return np.stack([norms[:, layers == layer].max(axis=1) for layer in layers], axis=1)


def of_steps(at: Integers, seen: Observed, steps: frozenset[int], layout: Layout) -> list[Series]:
    """‖w‖, ‖Δw‖ and ‖g'‖ of each tensor at these steps."""
    kept = np.isin(at, list(steps))
    return [
        series(f"{quantity}_between", seen.tensors[quantity][kept, i], at[kept], name)
        for quantity in OF_STEPS
        for i, name in enumerate(layout.parameters)
    ]
