"""The gradient divided by the root of a sum or average of its squares."""

from torch import Tensor

from backends.torch.composed.averages import root
from backends.torch.composed.step import At, State
from harness.spec.optimizers import AdaGrad, RMSProp


def adagrad(spec: AdaGrad, at: At, state: State) -> Tensor:
    """h ← h + g²; Δ = ηg/√(h + ε), or ηg/(√h + ε)."""
    h = state["h"].addcmul_(at.g, at.g)
    return at.eta * at.g / root(h, spec.eps, spec.eps_placement)


def rmsprop(spec: RMSProp, at: At, state: State) -> Tensor:
    """h ← βh + (1 − β)g²; u = g/√(ĥ + ε), or g/(√ĥ + ε); Δ = ηu, with momentum ηv or, the rate inside, v.

    ĥ = h, or h/(1 − βᵗ) with the bias corrected, or h − m² if centred, m ← βm + (1 − β)g.
    """
    h = state["h"].mul_(spec.beta).addcmul_(at.g, at.g, value=1 - spec.beta)
    if spec.bias_correction:
        h = h / (1 - spec.beta**at.t)
    if spec.centred:
        h = h - state["m"].mul_(spec.beta).add_(at.g, alpha=1 - spec.beta).square()
    u = at.g / root(h, spec.eps, spec.eps_placement)
    if not spec.momentum:
        return at.eta * u
    inside, outside = (at.eta, 1.0) if spec.rate == "inside" else (1.0, at.eta)
    return outside * state["v"].mul_(spec.momentum).add_(u, alpha=inside)
