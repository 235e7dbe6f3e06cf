"""What is at hand at one step, and what is kept from one to the next."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.backend import Floats

State = Mapping[str, Any]


class At(NamedTuple):
    """One tensor at one step."""

    g: Floats  # the clipped gradient, with the coupled decay
    w: Floats  # the weights at which it was taken
    eta: float  # the rate of this step
    t: int  # 1, 2, …
    decay: float | Floats = 0.0  # λ of a decoupled decay inside the formula; of each weight in a joint one
