"""A recipe is an optimizer with a clip, a penalty, a decay and a schedule, each of which can be changed alone.

One training step: take g = ∇(loss + penalty) and record its norms; clip g; add λw for coupled decay; let the optimizer
make Δ of it; subtract Δ and the decoupled decay from w, both computed from the old w.
"""

from collections.abc import Iterable
from typing import Literal

from harness.errors import InvalidInput, unknown
from harness.spec.architecture import is_weight
from harness.spec.base import NonNegative, Piece, Positive, Spec
from harness.spec.optimizers import Optimizer
from harness.spec.schedules import Constant, Schedule

# Which parameters a penalty or decay touches: weights (all but biases and the scales and shifts of normalisation),
# all parameters, or those named.
Scope = Literal["weights", "all"] | tuple[str, ...]


class NoClip(Piece, frozen=True, tag="none"):
    """g' = g."""


class GlobalNorm(Piece, frozen=True, tag="global_norm"):
    """g' = g if ‖g‖ ≤ c, else (c/‖g‖)g, with ‖g‖ over all tensors (Pascanu, Mikolov & Bengio 2013)."""

    c: Positive = 1.0


class PerTensor(Piece, frozen=True, tag="per_tensor"):
    """Each tensor clipped by its own norm: g' = g if ‖g‖ ≤ c, else (c/‖g‖)g."""

    c: Positive = 1.0


class ByValue(Piece, frozen=True, tag="by_value"):
    """g' = min(max(g, lowest), highest), element by element."""

    lowest: float = -1.0
    highest: float = 1.0

    def check(self) -> None:
        if self.lowest >= self.highest:
            raise InvalidInput(f"by_value: lowest {self.lowest} must be below highest {self.highest}")


class Adaptive(Piece, frozen=True, tag="adaptive"):
    """Each unit's g' = g if ‖g‖ ≤ c·max(‖w‖, ε), else c·max(‖w‖, ε)·g/‖g‖ (Brock et al. 2021, AGC).

    A unit is what feeds one output: all axes but the last of the canonical layout; a vector (a bias) is one unit.
    """

    c: Positive = 0.01
    eps: Positive = 1e-3


class NoPenalty(Piece, frozen=True, tag="none"):
    """0."""


class L1(Piece, frozen=True, tag="l1"):
    """λΣ|w|, with derivative 0 at 0."""

    rate: NonNegative = 1e-4
    on: Scope = "weights"


class L2(Piece, frozen=True, tag="l2"):
    """λΣw² (no half), or with ``scaling`` per_sample λ/(2m)Σw², m the number of training samples."""

    rate: NonNegative = 1e-4
    scaling: Literal["sum", "per_sample"] = "sum"
    on: Scope = "weights"


class L1L2(Piece, frozen=True, tag="l1_l2"):
    """The sum of both, on the same parameters (Zou & Hastie 2005)."""

    l1: NonNegative = 1e-4
    l2: NonNegative = 1e-4
    scaling: Literal["sum", "per_sample"] = "sum"
    on: Scope = "weights"


class NoDecay(Piece, frozen=True, tag="none"):
    """No decay."""


class Coupled(Piece, frozen=True, tag="coupled"):
    """g + λw after the clip, before the optimizer: what torch calls ``weight_decay`` in SGD and Adam."""

    rate: NonNegative = 1e-2
    on: Scope = "weights"


class Decoupled(Piece, frozen=True, tag="decoupled"):
    """w − Δ − ηλw (Loshchilov & Hutter 2019).

    ``scaled_by`` rate: η = lr·factor(t), as frameworks do; schedule: η = factor(t) alone, as in the paper.
    """

    rate: NonNegative = 1e-2
    scaled_by: Literal["rate", "schedule"] = "rate"
    on: Scope = "weights"


Clip = NoClip | GlobalNorm | PerTensor | ByValue | Adaptive
Penalty = NoPenalty | L1 | L2 | L1L2
Decay = NoDecay | Coupled | Decoupled
CLIPS: tuple[type[Clip], ...] = (NoClip, GlobalNorm, PerTensor, ByValue, Adaptive)
PENALTIES: tuple[type[Penalty], ...] = (NoPenalty, L1, L2, L1L2)
DECAYS: tuple[type[Decay], ...] = (NoDecay, Coupled, Decoupled)


class Recipe(Spec, frozen=True):
    """How to train: the five pieces, each of which may be changed alone."""

    optimizer: Optimizer
    clip: Clip = NoClip()
    penalty: Penalty = NoPenalty()
    decay: Decay = NoDecay()
    schedule: Schedule = Constant()


def coefficients(penalty: Penalty, samples: int) -> tuple[float, float]:
    """(λ₁, λ₂) such that the penalty is λ₁Σ|w| + λ₂Σw², for ``samples`` training samples."""
    match penalty:
        case NoPenalty():
            return 0.0, 0.0
        case L1(rate=rate):
            return rate, 0.0
        case L2(rate=rate, scaling=scaling):
            return 0.0, rate if scaling == "sum" else rate / (2 * samples)
        case L1L2(l1=l1, l2=l2, scaling=scaling):
            return l1, l2 if scaling == "sum" else l2 / (2 * samples)


def touched(scope: Scope, parameters: Iterable[str]) -> tuple[str, ...]:
    """The parameters that a penalty or decay acts on; a name that is no parameter is refused."""
    parameters = tuple(parameters)
    if scope == "all":
        return parameters
    if scope == "weights":
        return tuple(p for p in parameters if is_weight(p))
    for name in scope:
        if name not in parameters:
            raise unknown("parameter", name, parameters)
    return tuple(p for p in parameters if p in scope)
