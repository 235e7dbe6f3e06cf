"""Where all steps become longer or shorter at once, beside their gradients too: what a change of the rate does.

Whatever an optimizer makes of a gradient g', its step is η times that: a rate that something changes by a factor makes
‖Δw‖ and ‖Δw‖/‖g'‖ of every tensor that factor longer, at one step. What changes with the gradient changes one of the
two, by the optimizer. Of one with a memory a single large gradient makes the next steps longer or shorter though theirs
is not: so between two observed steps a jump is no more than a suspicion, that the steps in between confirm or explain.
"""

import math

import numpy as np

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

TIMES = math.log(2.0)  # a change of all steps at once below it may be one of gradients
STAYS = 4  # observed steps: a change of the rate stays for as long
# Of a tensor's weights that stand still: with so many, how long a step is depends on what rounding leaves of it.
ROUNDED = 0.05
STANDS_OUT = 2.0  # times the gradients around: one that explains a jump


@np.errstate(all="ignore")  # of steps and gradients that are 0 nothing is said
def jumps(moves: Floats, gradients: Floats, frozen: Floats, factors: Floats) -> list[tuple[int, float]]:
    """Between which observed steps all tensors' steps jump and stay there: the index of the first, and ln of the jump.

    ‖Δw‖, ‖g'‖ and the share of weights that stand, each of shape (steps, tensors), and the schedule's factor at the
    steps. The jump is that of the tensor that changes least. Not where rounding may have made it: where weights were
    lost in it before, or are since the schedule has cut the rate.
    """
    if len(moves) < 2 * STAYS or not moves.shape[1]:
        return []
    lengths, per_gradient = lengths_of(moves, gradients, factors)
    rounded = frozen > ROUNDED
    unsure = rounded[:-1] | (rounded[1:] & (np.diff(factors) < 0)[:, None])
    least = np.where(unsure.any(axis=1), 0.0, least_of(np.diff(lengths, axis=0), np.diff(per_gradient, axis=0)))
    middle, ratio = np.median(lengths, axis=1), np.median(per_gradient, axis=1)
    found = []
    for i in np.flatnonzero(np.abs(least) > TIMES):
        jump = float(least[i])
        if not STAYS <= i + 1 <= len(moves) - STAYS or not _stays(middle, int(i), jump):
            continue
        # Of an optimizer with a memory ‖Δw‖/‖g‖ varies as gradients do: its jump stays too, or stands out of that.
        varies = max(np.ptp(ratio[max(i - STAYS + 1, 0) : i + 1]), np.ptp(ratio[i + 1 : i + 1 + STAYS])) / 2
        if _stays(ratio, int(i), jump) or abs(jump) > varies:
            found.append((int(i), jump))
    return found


@np.errstate(all="ignore")
def within(moves: Floats, gradients: Floats, factors: Floats, jump: float, earlier: Floats) -> tuple[int, float] | None:
    """At which of the steps of a gap the rate changed, the one before it as index, and by how much; as above.

    From the step before the gap to the one after it. The step at which all tensors jump that way at once, beside their
    gradients too; if there is none, as where a memory keeps the rate of earlier steps, the whole gap, unless a gradient
    in it, or of those that were observed ``earlier``, stands out of those before and after it, which explains what
    follows: then None.
    """
    lengths, per_gradient = lengths_of(moves, gradients, factors)
    each = least_of(np.diff(lengths, axis=0), np.diff(per_gradient, axis=0)) * np.sign(jump)
    at = int(np.argmax(each))
    if each[at] > TIMES:
        return at, float(each[at] * np.sign(jump))
    ends, every = gradients[[0, -1]], np.concatenate([earlier, gradients])
    largest, usual = (float(np.linalg.norm(norms, axis=1).max()) for norms in (every, ends))
    return (len(moves) - 2, jump) if largest <= STANDS_OUT * usual else None


def lengths_of(moves: Floats, gradients: Floats, factors: Floats) -> tuple[Floats, Floats]:
    """ln ‖Δw‖ of each tensor at each step, at a factor of the schedule of 1; and less ln ‖g'‖."""
    lengths = np.log(moves) - np.log(factors)[:, None]
    return lengths, lengths - np.log(gradients)


def least_of(*changes: Floats) -> Floats:
    """Of changes (steps, tensors) that all go one way the least, else 0; shape (steps,)."""
    every = np.concatenate(changes, axis=1)
    up = np.where((every > 0).all(axis=1), every.min(axis=1), 0.0)
    return np.where((every < 0).all(axis=1), every.max(axis=1), up)


def _stays(values: Floats, i: int, jump: float) -> bool:
    """Whether all that is seen for a while after the jump is beyond all that was seen before, by half of it."""
    before, after = values[max(i - STAYS + 1, 0) : i + 1], values[i + 1 : i + 1 + STAYS]
    stayed = after - before.max() if jump > 0 else before.min() - after
    return bool((stayed > abs(jump) / 2).all())
