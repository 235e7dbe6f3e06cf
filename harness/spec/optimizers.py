"""The zoo: one struct an algorithm, its variants as named fields.

Notation: g gradient, w weight, η the rate of this step, t = 1, 2, … the step. Each optimizer turns g into
a step Δ and w ← w − Δ. "AdamW", "AMSGrad", "Nesterov" and the like are spellings of these (``SPELLINGS``).
"""

from typing import Literal

from harness.errors import InvalidInput
from harness.spec.base import Fraction, NonNegative, Piece, Positive


class SGD(Piece, frozen=True, tag="sgd"):
    """Δ = ηg (Robbins & Monro 1951)."""

    lr: Positive = 0.01


class Momentum(Piece, frozen=True, tag="momentum"):
    """v ← μv + (1 − d)g; Δ = ηv (Polyak 1964), d the dampening.

    ``rate`` inside: v ← μv + η(1 − d)g; Δ = v. The same until η changes.
    ``first`` plain: v₁ = g whatever d; damped: v₁ = (1 − d)g.
    ``nesterov``: Δ = η(g + μv) with the new v, the look-ahead form in the variable that moves
    (Sutskever et al. 2013; Nesterov 1983); with the rate inside, Δ = ηg + μv.
    d = μ with a damped first step is the averaged momentum v ← μv + (1 − μ)g.
    """

    lr: Positive = 0.01
    momentum: Fraction = 0.9
    dampening: Fraction = 0.0
    first: Literal["plain", "damped"] = "plain"
    rate: Literal["outside", "inside"] = "outside"
    nesterov: bool = False

    def check(self) -> None:
        if self.nesterov and self.dampening:
            raise InvalidInput("momentum: the look-ahead of nesterov is defined for dampening = 0 only")
        if self.first == "damped" and not self.dampening:
            raise InvalidInput("momentum: first = 'damped' needs a dampening above 0")


class AdaGrad(Piece, frozen=True, tag="adagrad"):
    """h ← h + g²; Δ = ηg/√(h + ε), or ηg/(√h + ε) with ``eps_placement`` outside (Duchi et al. 2011).

    h starts at ``initial_accumulator``.
    """

    lr: Positive = 0.01
    eps: NonNegative = 1e-8
    eps_placement: Literal["inside", "outside"] = "inside"
    initial_accumulator: NonNegative = 0.0


class RMSProp(Piece, frozen=True, tag="rmsprop"):
    """h ← βh + (1 − β)g²; Δ = ηg/√(h + ε), or ηg/(√h + ε) outside (Tieleman & Hinton 2012).

    ``centred`` subtracts the squared mean: h − m², m ← βm + (1 − β)g (Graves 2013).
    ``momentum`` μ > 0: u the preconditioned gradient, v ← μv + u, Δ = ηv; ``rate`` inside: v ← μv + ηu, Δ = v.
    ``bias_correction`` divides h and m by 1 − βᵗ; not with ``centred``, whose h − m² would be g² − g² = 0 at t = 1.
    """

    lr: Positive = 0.001
    beta: Fraction = 0.9
    eps: NonNegative = 1e-8
    eps_placement: Literal["inside", "outside"] = "inside"
    centred: bool = False
    momentum: Fraction = 0.0
    rate: Literal["outside", "inside"] = "outside"
    bias_correction: bool = False

    def check(self) -> None:
        if self.centred and self.bias_correction:
            raise InvalidInput("rmsprop: centred with bias_correction divides by g² − g² = 0 at the first step")


class Adam(Piece, frozen=True, tag="adam"):
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; m̂ = m/(1 − β₁ᵗ); v̂ = v/(1 − β₂ᵗ) (Kingma & Ba 2015).

    ``eps_placement`` outside: Δ = ηm̂/(√v̂ + ε), their Algorithm 1; ``hat``: Δ = η√(1 − β₂ᵗ)/(1 − β₁ᵗ)·m/(√v + ε̂),
    the variant before their section 2.1; inside: Δ = ηm̂/√(v̂ + ε).
    ``amsgrad`` (Reddi et al. 2018) keeps the running maximum and uses it for v: ``raw`` of v, corrected
    afterwards; ``corrected`` of v̂ itself (which with ε̂ stands for v/(1 − β₂ᵗ)).
    """

    lr: Positive = 0.001
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: NonNegative = 1e-8
    eps_placement: Literal["outside", "hat", "inside"] = "outside"
    amsgrad: Literal["no", "raw", "corrected"] = "no"


Optimizer = SGD | Momentum | AdaGrad | RMSProp | Adam
OPTIMIZERS: tuple[type[Optimizer], ...] = (SGD, Momentum, AdaGrad, RMSProp, Adam)
