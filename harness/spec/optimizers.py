"""The zoo: one struct an algorithm, its variants as named fields.

Notation: g gradient, w weight, η the rate of this step, t = 1, 2, … the step. Each optimizer turns g into
a step Δ and w ← w − Δ. "AdamW", "AMSGrad", "Nesterov" and the like are spellings of these (``SPELLINGS``).

``examples`` of a number are values beside the default at which the formula takes another way: every combination of
two fields' values is a variant that is tested (``harness.spec.variants``).
"""

from typing import Annotated, Literal, get_args

from msgspec import Meta

from harness.errors import InvalidInput
from harness.spec.base import Count, Fraction, NonNegative, Piece, Positive


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
    momentum: Annotated[Fraction, Meta(examples=[0.0])] = 0.9
    dampening: Annotated[Fraction, Meta(examples=[0.5, 0.9])] = 0.0
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
    initial_accumulator: Annotated[NonNegative, Meta(examples=[0.1])] = 0.0


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
    momentum: Annotated[Fraction, Meta(examples=[0.9])] = 0.0
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


class Adadelta(Piece, frozen=True, tag="adadelta"):
    """h ← ρh + (1 − ρ)g²; u = √(a + ε)/√(h + ε)·g; a ← ρa + (1 − ρ)u²; Δ = ηu (Zeiler 2012)."""

    lr: Positive = 1.0
    rho: Fraction = 0.9
    eps: NonNegative = 1e-6


class Adamax(Piece, frozen=True, tag="adamax"):
    """m as in Adam; u ← max(β₂u, |g| + ε); Δ = η/(1 − β₁ᵗ)·m/u (Kingma & Ba 2015, section 7.1, there without ε).

    ``eps_placement`` outside: u ← max(β₂u, |g|); Δ = η/(1 − β₁ᵗ)·m/(u + ε).
    """

    lr: Positive = 0.002
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: NonNegative = 1e-8
    eps_placement: Literal["inside", "outside"] = "inside"


class NAdam(Piece, frozen=True, tag="nadam"):
    """Δ = η[(1 − μₜ)/(1 − Pₜ)·g + μₜ₊₁/(1 − Pₜ₊₁)·m]/(√v̂ + ε), Pₜ = μ₁⋯μₜ, m and v̂ as in Adam (Dozat 2016).

    ``momentum`` scheduled: μₜ = β₁(1 − ½·0.96^(tψ)), ψ the ``momentum_decay``; constant: μₜ = β₁.
    """

    lr: Positive = 0.002
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: NonNegative = 1e-8
    momentum: Literal["scheduled", "constant"] = "scheduled"
    momentum_decay: Annotated[Positive, Meta(examples=[1.0])] = 0.004


class RAdam(Piece, frozen=True, tag="radam"):
    """Δ = ηrₜm̂/(√v̂ + ε) where ρₜ > ``threshold``, else ηm̂; m̂ and v̂ as in Adam (Liu et al. 2020).

    ρ∞ = 2/(1 − β₂) − 1; ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ); rₜ² = (ρₜ − 4)(ρₜ − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρₜ).
    ``eps_placement`` hat: ηrₜm̂√(1 − β₂ᵗ)/(√v + ε̂).
    """

    lr: Positive = 0.001
    beta1: Fraction = 0.9
    beta2: Annotated[float, Meta(gt=0.6, lt=1)] = 0.999  # below, ρ∞ ≤ 4 and nothing is ever rectified
    eps: NonNegative = 1e-8
    eps_placement: Literal["outside", "hat"] = "outside"
    threshold: Annotated[float, Meta(ge=4)] = 5.0


class Lion(Piece, frozen=True, tag="lion"):
    """Δ = η sign(β₁m + (1 − β₁)g); then m ← β₂m + (1 − β₂)g (Chen et al. 2023)."""

    lr: Positive = 1e-4
    beta1: Fraction = 0.9
    beta2: Fraction = 0.99


class Adafactor(Piece, frozen=True, tag="adafactor"):
    """β̂ = 1 − t^(−c), c the ``beta2_decay``; V ← β̂V + (1 − β̂)(g² + ε₁); u = g/√V (Shazeer & Stern 2018).

    Of a tensor of two or more axes only the means of g² + ε₁ over the last axis, R, and over the one before, C, are
    averaged, and V = RC/mean(R); not so with ``factored`` false. Δ = α·u/max(1, rms(u)/d), d the ``clip``;
    α = max(ε₂, rms(w))·ρ, or ρ alone with ``relative`` false; ρ = min(η, 1/√t), or η with ``rate`` plain.
    """

    lr: Positive = 0.01
    beta2_decay: Positive = 0.8
    eps1: NonNegative = 1e-30
    eps2: NonNegative = 1e-3
    clip: Positive = 1.0
    rate: Literal["capped", "plain"] = "capped"
    relative: bool = True
    factored: bool = True


class LARS(Piece, frozen=True, tag="lars"):
    """v ← μv + ηκ(g + λw); Δ = v, with the local rate κ = c‖w‖/(‖g‖ + λ‖w‖ + ε) of each tensor (You et al. 2017).

    ``norm`` joint: κ = c‖w‖/(‖g + λw‖ + ε). Where c‖w‖ or the denominator is 0, κ = 1. λ is the rate of the
    recipe's decoupled decay where ``decay`` is inside; outside, λ = 0 here and the decay stands apart.
    """

    lr: Positive = 1.0
    momentum: Annotated[Fraction, Meta(examples=[0.0])] = 0.9
    trust: Positive = 1e-3
    eps: NonNegative = 0.0
    norm: Literal["separate", "joint"] = "separate"
    decay: Literal["inside", "outside"] = "inside"


class LAMB(Piece, frozen=True, tag="lamb"):
    """r = m̂/(√v̂ + ε) as in Adam; u = r + λw; Δ = η‖w‖/‖u‖·u for each tensor (You et al. 2020).

    Where a norm is 0 the ratio is 1. λ is the rate of the recipe's decoupled decay where ``decay`` is inside; outside,
    u = r and the decay stands apart.
    """

    lr: Positive = 1e-3
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: NonNegative = 1e-6
    decay: Literal["inside", "outside"] = "inside"


class Muon(Piece, frozen=True, tag="muon"):
    """B ← μB + g; Δ = ηs·NS(g + μB), or ηs·NS(B) without ``nesterov``, for matrices (Jordan et al. 2024).

    NS starts from X = M/(‖M‖ + ε), transposed where it has more rows than columns, and makes ``iterations`` times
    A = XXᵀ; X ← aX + (bA + cA²)X with (a, b, c) = (3.4445, −4.7750, 2.0315). ``buffer`` mean: B ← μB + (1 − μ)g and
    (1 − μ)g + μB; corrected: the same, divided: (1 − μ)g/(1 − μᵗ) + μB/(1 − μᵗ⁺¹), or B/(1 − μᵗ).
    ``scale`` outputs: s = √max(1, outputs/inputs); rms: 0.2√max(inputs, outputs) (Liu et al. 2025); none: 1.
    Tensors that are not matrices are updated by Adam with the same rate, ``beta1``, ``beta2`` and ``adam_eps``.
    """

    lr: Positive = 0.02
    momentum: Fraction = 0.95
    nesterov: bool = True
    iterations: Count = 5
    eps: NonNegative = 1e-7
    buffer: Literal["sum", "mean", "corrected"] = "sum"
    scale: Literal["outputs", "rms", "none"] = "outputs"
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    adam_eps: NonNegative = 1e-8


class Rprop(Piece, frozen=True, tag="rprop"):
    """Δ = (η/lr)·s·sign(g), s the size of each element's step, ``lr`` at first (Riedmiller & Braun 1993).

    Where g has the sign that it had before, s grows by ``grow``, at most to ``largest``; where it has changed, s
    shrinks by ``shrink``, at least to ``smallest``, this step is left out and g counts as 0 in the next (Igel & Hüsken
    2000, iRprop−).
    """

    lr: Positive = 0.01
    shrink: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    grow: Annotated[float, Meta(ge=1)] = 1.2
    smallest: Positive = 1e-6
    largest: Positive = 50.0


class Yogi(Piece, frozen=True, tag="yogi"):
    """m as in Adam; v ← v − (1 − β₂)sign(v − g²)g²; Δ = ηm̂/(√v̂ + ε) (Zaheer et al. 2018).

    m and v start at ``initial_accumulator``. The paper corrects no bias: ``bias_correction`` false.
    """

    lr: Positive = 0.01
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: NonNegative = 1e-3
    initial_accumulator: Annotated[NonNegative, Meta(examples=[0.0])] = 1e-6
    bias_correction: bool = True


class AdaBelief(Piece, frozen=True, tag="adabelief"):
    """m as in Adam; s ← β₂s + (1 − β₂)(g − m)² + ε'; Δ = ηm̂/(√ŝ + ε), ε' the ``eps_inside`` (Zhuang et al. 2020)."""

    lr: Positive = 1e-3
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: NonNegative = 1e-16
    eps_inside: NonNegative = 1e-16


class Adan(Piece, frozen=True, tag="adan"):
    """d = g − g₋₁ (0 at first); m, v, n ← means of g, d, (g + kd)² with β₁, β₂, β₃; Δ = η(m̂ + kv̂)/(√n̂ + ε).

    Each mean is x ← βx + (1 − β)·, corrected by 1 − βᵗ. k = β₂ in the paper (Xie et al. 2024, whose β are one minus
    these); ``ahead`` complement: k = 1 − β₂.
    """

    lr: Positive = 1e-3
    beta1: Fraction = 0.98
    beta2: Fraction = 0.92
    beta3: Fraction = 0.99
    eps: NonNegative = 1e-8
    ahead: Literal["beta2", "complement"] = "beta2"


class ScheduleFree(Piece, frozen=True, tag="schedule_free"):
    """z ← z − η(u + λw); x ← (1 − c)x + cz; w = (1 − β)z + βx (Defazio et al. 2024).

    Gradients are taken at w, and the network is evaluated at x, the mean that stands in for a schedule. All start at
    w₀. c = η²/Ση² over the steps so far, or 1/t with ``weights`` equal. ``base`` sgd: u = g; adam: u = g/(√v̂ + ε).
    λ is the rate of the recipe's decoupled decay.
    """

    lr: Positive = 0.01
    beta: Annotated[float, Meta(gt=0, lt=1)] = 0.9
    base: Literal["sgd", "adam"] = "adam"
    beta2: Fraction = 0.999
    eps: NonNegative = 1e-8
    weights: Literal["squares", "equal"] = "squares"


class LBFGS(Piece, frozen=True, tag="lbfgs"):
    """Δ = η(Hg + λw), H by two loops over the last ``memory`` pairs s = −Δ₋₁, y = g − g₋₁ (Liu & Nocedal 1989).

    Over all tensors together, H₀ = γI with γ = sᵀy/yᵀy of the newest pair, 1 at first; no line search. A pair with
    sᵀy ≤ ``curvature`` is left out. At first H = I·min(1, 1/‖g‖₁), or 1/‖g‖₂ with ``first`` l2. λ is the rate of the
    recipe's decoupled decay. s is the step as computed: w − w₋₁ would be as small a number with the rounding of w.
    """

    lr: Positive = 0.1
    memory: Annotated[Count, Meta(examples=[3])] = 10
    curvature: NonNegative = 1e-10
    first: Literal["l1", "l2", "plain"] = "l1"


Optimizer = (
    SGD
    | Momentum
    | AdaGrad
    | RMSProp
    | Adam
    | Adadelta
    | Adamax
    | NAdam
    | RAdam
    | Lion
    | Adafactor
    | LARS
    | LAMB
    | Muon
    | Rprop
    | Yogi
    | AdaBelief
    | Adan
    | ScheduleFree
    | LBFGS
)
OPTIMIZERS: tuple[type[Optimizer], ...] = get_args(Optimizer)


def decays_inside(optimizer: Optimizer) -> bool:
    """Whether the formula itself takes the λ of a decoupled decay, which then does not stand apart."""
    return isinstance(optimizer, ScheduleFree | LBFGS) or getattr(optimizer, "decay", "outside") == "inside"
