"""What is at hand at one step, and what is kept from one to the next."""

from typing import NamedTuple

from torch import Tensor

State = dict[str, Tensor]


class At(NamedTuple):
    """One tensor at one step, in the canonical layout."""

    g: Tensor
    w: Tensor
    eta: float
    t: int  # 1, 2, …
    decay: float  # λ of a decoupled decay that belongs inside the formula
