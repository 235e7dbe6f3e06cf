"""When training ends before its budget does."""

from typing import get_args

from harness.spec.base import Count, NonNegative, Piece


class ToTheEnd(Piece, frozen=True, tag="none"):
    """Nothing ends it before the budget."""


class EarlyStopping(Piece, frozen=True, tag="early"):
    """End when the loss has not improved in ``patience`` evaluations running (Prechelt 1998).

    Evaluated every ``every`` steps on the validation part, or on the training part of a problem that has no other. A
    loss has improved that is below the best so far by more than ``by``. The last parameters stand, not the best.
    """

    patience: Count = 5
    every: Count = 30
    by: NonNegative = 0.0


class AtTarget(Piece, frozen=True, tag="target"):
    """End when an evaluation, one every ``every`` steps, finds the metric at ``value`` or above.

    On the validation part, or on the training part of a problem that has no other; for analytic functions the loss, at
    ``value`` or below.
    """

    value: float
    every: Count = 30


Stopping = ToTheEnd | EarlyStopping | AtTarget
STOPPINGS: tuple[type[Stopping], ...] = get_args(Stopping)
