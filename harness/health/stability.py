"""The sharpness beyond which an optimizer is thrown off a quadratic: twice what it does to an oscillation.

On ½λw² the gradient is λw, and an optimizer whose step is a linear filter of past gradients makes

    wₜ₊₁ = wₜ − η Σₖ cₖ λwₜ₋ₖ

As λ grows, what becomes unstable first is the oscillation wₜ = (−1)ᵗ: there wₜ₊₁ − wₜ = −2wₜ, and the filter answers
H = Σₖ cₖ(−1)ᵏ times λwₜ, so that it neither grows nor falls at

    λ = 2/(ηH)

Gradient descent has H = 1 and the limit 2/η. An average m ← βm + (1 − β)g answers an oscillation by (1 − β)/(1 + β),
hence Adam's (2 + 2β₁)/((1 − β₁)η), 38/η for β₁ = 0.9 (Cohen et al. 2022), for the sharpness of P⁻¹H, P the matrix that
divides its step, which changes slowly. Full-batch training brings the sharpness up to the limit and holds it there
(Cohen et al. 2021): to be there is no fault; to be far beyond it is.
"""

from harness.spec.optimizers import (
    SGD,
    AdaBelief,
    Adadelta,
    AdaGrad,
    Adam,
    Adamax,
    Adan,
    Momentum,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    ScheduleFree,
    Yogi,
)


def response(optimizer: Optimizer) -> float | None:
    """H: what an optimizer's step is, over ηg, where g changes its sign at each step and has done so for long.

    Of one that divides by a matrix, with that matrix held fixed and left out. None where a step is no linear filter of
    gradients: signs, norms of whole tensors, curvature pairs.
    """
    match optimizer:
        case SGD() | AdaGrad() | Adadelta():
            return 1.0
        case Momentum(momentum=mu, dampening=d, nesterov=nesterov):
            kept = (1 - d) / (1 + mu)  # v = Σ μᵏ(1 − d)g₋ₖ
            return 1 + mu * kept if nesterov else kept
        case RMSProp(momentum=mu):
            return 1 / (1 + mu)
        case Adam(beta1=beta) | Adamax(beta1=beta) | RAdam(beta1=beta) | Yogi(beta1=beta) | AdaBelief(beta1=beta):
            return (1 - beta) / (1 + beta)
        case NAdam(beta1=beta):  # μₜ has come up to β₁
            return (1 - beta) * (1 + beta / (1 + beta))
        case Adan(beta1=beta1, beta2=beta2, ahead=ahead):  # of g, which alternates, and of d = 2g
            k = beta2 if ahead == "beta2" else 1 - beta2
            return (1 - beta1) / (1 + beta1) + k * 2 * (1 - beta2) / (1 + beta2)
        case ScheduleFree(beta=beta):  # w = (1 − β)z + βx, and x, a mean over all steps, stands still
            return 1 - beta
        case _:
            return None


def limit(optimizer: Optimizer, factor: float = 1.0) -> float | None:
    """The sharpness of the stability limit, of the matrix P⁻¹H where there is a P; ``factor`` is the schedule's.

    Valid where no coefficient changes any more: bias corrections are 1, means stand still; and without decay.
    """
    answer = response(optimizer)
    return None if answer is None else 2 / (optimizer.lr * factor * answer)
