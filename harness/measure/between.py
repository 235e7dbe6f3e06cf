"""Where a norm changed by more than the steps around make likely: what the steps between two observed ones were like.

A step that nobody observed may have any length, so a norm that changed across it proves nothing. The run is made once
more, each step of the first few such gaps is observed, and of each it is then known what it did (``findings.changes``).
"""

import itertools

import numpy as np

from harness.backend import Floats, Integers
from harness.health.weights import reach
from harness.measure.series import Series, series
from harness.observation import Layout, Observed

FASTER = 4.0  # unobserved steps over the longest observed around them: rates and gradients change within a few steps
AROUND = 6  # observed steps: the two beside a gap, and those before
GAPS = 8  # looked into, the first of a run: each costs as many observed steps as it is long
OF_STEPS = ("weight_norm", "update_norm")


def unlikely(at: Integers, seen: Observed, layout: Layout) -> frozenset[int]:
    """The steps of the first gaps across which some tensor's ‖w‖ changed so, from the step before to the one after."""
    if len(at) < 2 or not set(OF_STEPS) <= set(seen.tensors):
        return frozenset()
    norms, moves = (seen.tensors[name] for name in OF_STEPS)
    padded = np.pad(moves, ((AROUND - 1, 0), (0, 0)))
    longest = np.lib.stride_tricks.sliding_window_view(padded, AROUND, axis=0).max(axis=-1)[1:]
    gaps = np.diff(at)
    moved = moves[:-1] + (gaps[:, None] - 1) * FASTER * longest
    far = np.abs(np.diff(norms, axis=0)) > reach(norms[:-1], of_layers(norms, layout)[:-1], moved)
    wide = np.flatnonzero((far & np.isfinite(norms[1:])).any(axis=1) & (gaps > 1))
    return frozenset(itertools.chain.from_iterable(range(at[i], at[i + 1] + 1) for i in wide[:GAPS]))


def of_layers(norms: Floats, layout: Layout) -> Floats:
    """For each tensor the largest norm of its layer's; shape (steps, tensors) both."""
    layers = np.array([name.rpartition(".")[0] for name in layout.parameters])
    return np.stack([norms[:, layers == layer].max(axis=1) for layer in layers], axis=1)


def of_steps(at: Integers, seen: Observed, steps: frozenset[int], layout: Layout) -> list[Series]:
    """‖w‖ and ‖Δw‖ of each tensor at these steps."""
    kept = np.isin(at, list(steps))
    return [
        series(f"{quantity}_between", seen.tensors[quantity][kept, i], at[kept], name)
        for quantity in OF_STEPS
        for i, name in enumerate(layout.parameters)
    ]
