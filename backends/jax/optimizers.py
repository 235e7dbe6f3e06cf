"""Optimizers: optax's where its transformations compute the formula, else composed of transformations of our own.

Each makes −Δ of g, as ``optax.apply_updates`` wants it.
"""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from backends.jax import averaging, elementwise, quasi_newton, tensorwise
from backends.jax.schedules import Rate
from harness.backend import Origin
from harness.spec.optimizers import (
    LAMB,
    LARS,
    LBFGS,
    SGD,
    AdaBelief,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    Adan,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    Rprop,
    ScheduleFree,
    Yogi,
    decays_inside,
)
from harness.spec.recipe import Decoupled, Recipe
from harness.spec.schedules import Constant


class Inside(NamedTuple):
    """A decoupled decay that the optimizer's formula takes itself: λ, and on which parameters."""

    rate: float
    on: dict[str, bool]


def origin(recipe: Recipe, exact: bool) -> Origin:
    """Where the update comes from, and in ``shipped`` how its formula is another."""
    spec = recipe.optimizer
    match spec:
        case SGD():
            return Origin("native", "optax.sgd")
        case Momentum() if averaged(spec):
            inside = "" if exact or spec.rate == "outside" or _constant(recipe) else "the rate stays outside the buffer"
            return Origin("native", "optax.ema", inside)
        case Momentum(dampening=dampening) if dampening:
            return _unless(exact, "optax.sgd", "momentum", "it has no dampening")
        case Momentum(rate="inside") if exact:
            return Origin("native", "optax.trace")
        case Momentum(rate="inside") if not _constant(recipe):
            return Origin("native", "optax.sgd", "it keeps the rate outside the buffer")
        case Momentum():
            return Origin("native", "optax.sgd")
        case AdaGrad(eps_placement="outside"):
            return _unless(exact, "optax.adagrad", "adagrad", "it adds ε inside the root")
        case AdaGrad(eps=0, initial_accumulator=0):
            return _unless(exact, "optax.adagrad", "adagrad", "it takes 0/0 as 0")
        case AdaGrad():
            return Origin("native", "optax.adagrad")
        case RMSProp(momentum=momentum, rate="outside") if momentum and exact:
            return Origin("native", f"optax.scale_by_{'stddev' if spec.centred else 'rms'}, optax.trace")
        case RMSProp(momentum=momentum, rate="outside") if momentum and not _constant(recipe):
            return Origin("native", "optax.rmsprop", "it keeps the rate inside the buffer")
        case RMSProp():
            return Origin("native", "optax.rmsprop")
        case Adam(amsgrad="raw"):
            return _unless(exact, "optax.amsgrad", "adam", "it takes the maximum of the corrected v̂")
        case Adam(eps_placement="hat", amsgrad=amsgrad):
            by = "optax.adam" if amsgrad == "no" else "optax.amsgrad"
            return _unless(exact, by, "adam", "it corrects v before it adds ε")
        case Adam(amsgrad="corrected"):
            return Origin("native", "optax.amsgrad")
        case Adam():
            return Origin("native", "optax.adam" if exact or not is_adamw(recipe) else "optax.adamw")
        case Adadelta():
            return Origin("native", "optax.adadelta")
        case Adamax(eps_placement="outside"):
            return _unless(exact, "optax.adamax", "adamax", "it adds ε to |g|")
        case Adamax():
            return Origin("native", "optax.adamax")
        case NAdam(momentum="scheduled"):
            return _unless(exact, "optax.nadam", "nadam", "its momentum is constant")
        case NAdam():
            return Origin("native", "optax.nadam")
        case RAdam(eps_placement="hat"):
            return _unless(exact, "optax.radam", "radam", "it corrects v before it adds ε")
        case RAdam() if exact:
            return Origin("composed", "radam", "optax.radam: its ρₜ is a difference that float32 cannot tell")
        case RAdam():
            return Origin("native", "optax.radam")
        case Lion():
            return Origin("native", "optax.lion")
        case Adafactor():
            return _unless(exact, "optax.adafactor", "adafactor", _of_adafactor(spec))
        case LARS(norm="separate") if decays_within(recipe, exact):
            return _unless(exact, "optax.lars", "lars", "it takes the norm of g + λw")
        case LARS():
            return Origin("native", "optax.lars")
        case LAMB():
            return Origin("native", "optax.lamb")
        case Muon():
            return _unless(exact, "optax.contrib.muon", "muon", _of_muon(spec))
        case Rprop():
            late = "it returns the step before: each comes one late, and is dropped where the next g changes sign"
            return _unless(exact, "optax.rprop", "rprop", late)
        case Yogi(bias_correction=False):
            return _unless(exact, "optax.yogi", "yogi", "it corrects the bias, and starts at 1e-6")
        case Yogi(initial_accumulator=initial) if initial != 1e-6:
            return (
                Origin("native", "optax.scale_by_yogi") if exact else Origin("native", "optax.yogi", "starts at 1e-6")
            )
        case Yogi():
            return Origin("native", "optax.yogi")
        case AdaBelief():
            return Origin("native", "optax.adabelief")
        case Adan(ahead="beta2"):
            return _unless(exact, "optax.adan", "adan", "it looks ahead by 1 − β₂, and adds 1e-8 inside the root")
        case Adan():
            return Origin("native", "optax.adan", "" if exact else "it adds 1e-8 inside the root")
        case ScheduleFree(weights="squares"):
            different = "it weighs by the square of the greatest rate so far, that of the next step included"
            return _unless(exact, "optax.contrib.schedule_free", "schedule_free", different)
        case ScheduleFree():
            return Origin("native", "optax.contrib.schedule_free")
        case LBFGS():
            return _unless(exact, "optax.lbfgs", "lbfgs", _of_lbfgs(spec))


def _unless(exact: bool, native: str, formula: str, difference: str) -> Origin:
    if exact:
        return Origin("composed", formula, f"{native}: {difference}")
    return Origin("native", native, difference)


def _constant(recipe: Recipe) -> bool:
    return isinstance(recipe.schedule, Constant)


def _of_adafactor(spec: Adafactor) -> str:
    """How optax's Adafactor differs."""
    differences = ["its β̂ is in float32"]
    if spec.factored:
        differences.append("it factors the two largest axes, from 128 on")
    if spec.rate == "capped":
        differences.append("it does not cap the rate")
    if spec.relative and spec.eps2 != 1e-3:
        differences.append("its ε₂ is 1e-3")
    return "; ".join(differences)


def _of_muon(spec: Muon) -> str:
    """How optax's Muon differs."""
    differences = ["its ε is also Adam's; a GPU takes its products in TF32"]
    if spec.buffer != "corrected":
        differences.append("it corrects the buffer")
    if spec.nesterov:
        differences.append("for what is no matrix it is NAdam")
    if spec.scale == "none":
        differences.append("it scales by √max(1, outputs/inputs)")
    return "; ".join(differences)


def _of_lbfgs(spec: LBFGS) -> str:
    """How optax's L-BFGS differs."""
    differences = ["its s is w − w₋₁, as rounded"]
    if spec.first != "l2":
        differences.append("it divides the first step by ‖g‖₂")
    differences.append("it leaves out no pair" if spec.curvature else "it keeps pairs with sᵀy < 0")
    return "; ".join(differences)


def decays_within(recipe: Recipe, exact: bool) -> bool:
    """Whether the optimizer's formula takes the decay: optax.lbfgs does not, and sees it in w − w₋₁."""
    within = decays_inside(recipe.optimizer) and (exact or not isinstance(recipe.optimizer, LBFGS))
    return isinstance(recipe.decay, Decoupled) and recipe.decay.rate > 0 and within


def averaged(spec: Momentum) -> bool:
    """Whether this is the averaged momentum v ← μv + (1 − μ)g."""
    return spec.first == "damped" and spec.dampening == spec.momentum


def is_adamw(recipe: Recipe) -> bool:
    """Whether this is what optax ships as AdamW."""
    match recipe.optimizer, recipe.decay:
        case Adam(amsgrad="no"), Decoupled(scaled_by="rate"):
            return True
        case _:
            return False


def exact(spec: Optimizer, rate: Rate, decay: Inside, steps: int) -> optax.GradientTransformation:
    """The spec's formula."""
    eta = optax.scale_by_learning_rate(rate)
    match spec:
        case Momentum(rate="inside"):
            return optax.chain(eta, buffer(spec))
        case Momentum():
            return optax.chain(buffer(spec), eta)
        case AdaGrad(eps_placement="outside") | AdaGrad(eps=0, initial_accumulator=0):
            return optax.chain(elementwise.adagrad(spec), eta)
        case RMSProp(momentum=momentum, rate="outside") if momentum:
            kind = optax.scale_by_stddev if spec.centred else optax.scale_by_rms
            inside = spec.eps_placement == "inside"
            root = kind(spec.beta, spec.eps, eps_in_sqrt=inside, bias_correction=spec.bias_correction)
            return optax.chain(root, optax.trace(momentum), eta)
        case Adam(eps_placement="hat") | Adam(amsgrad="raw"):
            return optax.chain(elementwise.adam(spec), eta)
        case Adamax(eps_placement="outside"):
            return optax.chain(elementwise.adamax(spec), eta)
        case NAdam(momentum="scheduled"):
            return optax.chain(elementwise.nadam(spec), eta)
        case RAdam():
            return optax.chain(elementwise.radam(spec, steps), eta)
        case Adafactor():
            return adafactor(spec, rate)
        case LARS(norm="separate") if decay.rate:
            per_tensor = {name: decay.rate if on else 0.0 for name, on in decay.on.items()}
            return optax.chain(tensorwise.lars(spec, per_tensor), eta, optax.trace(spec.momentum))
        case Muon():
            return optax.chain(tensorwise.muon(spec), eta)
        case Rprop():
            return optax.chain(elementwise.rprop(spec), eta)
        case Yogi(bias_correction=False):
            return optax.chain(elementwise.yogi(spec), eta)
        case Yogi(beta1=beta1, beta2=beta2, eps=eps, initial_accumulator=initial):
            return optax.chain(optax.scale_by_yogi(beta1, beta2, eps, initial_accumulator_value=initial), eta)
        case Adan(ahead="beta2"):
            return optax.chain(elementwise.adan(spec), eta)
        case Adan(beta1=beta1, beta2=beta2, beta3=beta3, eps=eps):
            return optax.adan(rate, beta1, beta2, beta3, eps, eps_root=0.0)
        case ScheduleFree(weights="squares"):
            return averaging.exact(spec, rate, schedule_free_base(spec, rate, decay))
        case LBFGS():
            return quasi_newton.lbfgs(spec, optax.chain(optax.add_decayed_weights(decay.rate, decay.on), eta))
        case _:
            return shipped(spec, rate, decay)


def shipped(spec: Optimizer, rate: Rate, decay: Inside) -> optax.GradientTransformation:
    """optax's function of that name with the spec's words, as far as it has them."""
    match spec:
        case SGD():
            return optax.sgd(rate)
        case Momentum() if averaged(spec):
            return optax.chain(buffer(spec), optax.scale_by_learning_rate(rate))
        case Momentum(momentum=momentum, nesterov=nesterov):
            return optax.sgd(rate, momentum, nesterov)
        case AdaGrad(eps=eps, initial_accumulator=initial):
            return optax.adagrad(rate, initial, eps)
        case RMSProp(momentum=momentum, eps_placement=placement):
            return optax.rmsprop(
                rate,
                decay=spec.beta,
                eps=spec.eps,
                eps_in_sqrt=placement == "inside",
                centered=spec.centred,
                momentum=momentum or None,
                bias_correction=spec.bias_correction,
            )
        case Adam(beta1=beta1, beta2=beta2, amsgrad=amsgrad):
            kind = optax.adam if amsgrad == "no" else optax.amsgrad
            return kind(rate, beta1, beta2, **epsilon(spec))
        case Adadelta(rho=rho, eps=eps):
            return optax.adadelta(rate, rho, eps)
        case Adamax(beta1=beta1, beta2=beta2, eps=eps):
            return optax.adamax(rate, beta1, beta2, eps)
        case NAdam(beta1=beta1, beta2=beta2, eps=eps):
            return optax.nadam(rate, beta1, beta2, eps)
        case RAdam(beta1=beta1, beta2=beta2, eps=eps, threshold=threshold):
            return optax.radam(rate, beta1, beta2, eps, threshold=threshold)
        case Lion(beta1=beta1, beta2=beta2):
            return optax.lion(rate, beta1, beta2, weight_decay=0.0)
        case Adafactor(beta2_decay=beta2_decay, eps1=eps1, clip=clip):
            return optax.adafactor(
                rate,
                decay_rate=beta2_decay,
                multiply_by_parameter_scale=spec.relative,
                clipping_threshold=clip,
                eps=eps1,
                factored=spec.factored,
            )
        case LARS(trust=trust, eps=eps, momentum=momentum):
            return optax.lars(rate, decay.rate, decay.on, trust_coefficient=trust, eps=eps, momentum=momentum)
        case LAMB(beta1=beta1, beta2=beta2, eps=eps):
            return optax.lamb(rate, beta1, beta2, eps, weight_decay=decay.rate, mask=decay.on)
        case Muon():
            return muon(spec, rate)
        case Rprop(lr=lr):
            return optax.chain(rprop(spec), optax.scale_by_learning_rate(rate, flip_sign=False), optax.scale(1 / lr))
        case Yogi(beta1=beta1, beta2=beta2, eps=eps):
            return optax.yogi(rate, beta1, beta2, eps)
        case AdaBelief(beta1=beta1, beta2=beta2, eps=eps, eps_inside=inside):
            return optax.adabelief(rate, beta1, beta2, eps, inside)
        case Adan(beta1=beta1, beta2=beta2, beta3=beta3, eps=eps):
            return optax.adan(rate, beta1, beta2, beta3, eps)
        case ScheduleFree():
            return averaging.native(spec, rate, schedule_free_base(spec, rate, decay))
        case LBFGS(memory=memory):
            return optax.lbfgs(rate, memory, linesearch=None)


def adamw(spec: Adam, rate: Rate, decay: float, mask: dict[str, bool]) -> optax.GradientTransformation:
    """optax's AdamW."""
    return optax.adamw(rate, spec.beta1, spec.beta2, weight_decay=decay, mask=mask, **epsilon(spec))


def epsilon(spec: Adam) -> dict[str, float]:
    """ε in optax's words."""
    return {"eps": 0.0, "eps_root": spec.eps} if spec.eps_placement == "inside" else {"eps": spec.eps}


def buffer(spec: Momentum) -> optax.GradientTransformation:
    """v of what comes in, or its look-ahead."""
    if averaged(spec):
        return optax.ema(spec.momentum, debias=False)
    return elementwise.dampened(spec) if spec.dampening else optax.trace(spec.momentum, spec.nesterov)


def adafactor(spec: Adafactor, rate: Rate) -> optax.GradientTransformation:
    """Δ = α·u/max(1, rms(u)/d), α = max(ε₂, rms(w))·ρ or ρ, ρ = min(η, 1/√t) or η."""

    def capped(done: Array) -> Array:
        return jnp.minimum(rate(done) if callable(rate) else rate, 1 / jnp.sqrt(done + 1.0))

    return optax.chain(
        tensorwise.adafactor(spec),
        optax.clip_by_block_rms(spec.clip),
        optax.scale_by_param_block_rms(spec.eps2) if spec.relative else optax.identity(),
        optax.scale_by_learning_rate(capped if spec.rate == "capped" else rate),
    )


def muon(spec: Muon, rate: Rate) -> optax.GradientTransformation:
    """optax's Muon."""
    return optax.contrib.muon(
        rate,
        ns_steps=spec.iterations,
        beta=spec.momentum,
        eps=spec.eps,
        nesterov=spec.nesterov,
        adam_b1=spec.beta1,
        adam_b2=spec.beta2,
        consistent_rms=0.2 if spec.scale == "rms" else None,
    )


def rprop(spec: Rprop) -> optax.GradientTransformation:
    """optax's Rprop, which knows no rate but the first steps' size."""
    return optax.rprop(spec.lr, spec.shrink, spec.grow, spec.smallest, spec.largest)


def schedule_free_base(spec: ScheduleFree, rate: Rate, decay: Inside) -> optax.GradientTransformation:
    """−η(u + λw), what moves z."""
    adam = optax.scale_by_rms(spec.beta2, spec.eps, eps_in_sqrt=False, bias_correction=True)
    return optax.chain(
        adam if spec.base == "adam" else optax.identity(),
        optax.add_decayed_weights(decay.rate, decay.on),
        optax.scale_by_learning_rate(rate),
    )
