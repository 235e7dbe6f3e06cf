"""Optimizers: Keras's own where they compute the formula, else composed as a Keras optimizer."""

from collections.abc import Iterable

import keras
import numpy as np

from backends.tensorflow.composed import Composed
from backends.tensorflow.schedules import Rate
from harness.backend import Origin
from harness.spec.optimizers import (
    LAMB,
    SGD,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Optimizer,
    RMSProp,
)
from harness.spec.recipe import Decoupled, Recipe
from harness.spec.schedules import Constant

KERAS: dict[type[Optimizer], str] = {
    SGD: "SGD",
    Momentum: "SGD",
    AdaGrad: "Adagrad",
    RMSProp: "RMSprop",
    Adam: "Adam",
    Adadelta: "Adadelta",
    Adamax: "Adamax",
    NAdam: "Nadam",
    Lion: "Lion",
    Adafactor: "Adafactor",
    LAMB: "Lamb",
    Muon: "Muon",
}


def origin(recipe: Recipe, exact: bool) -> Origin:
    """Where the update comes from, and in ``shipped`` how its formula is another."""
    spec = recipe.optimizer
    if type(spec) not in KERAS:
        return Origin("composed", spec.spelling(), "Keras has no such optimizer")
    shipped = f"keras.optimizers.{KERAS[type(spec)]}"
    if lacks := _lacks(spec):
        return Origin("composed", spec.spelling(), f"{shipped}: {lacks}")
    differs = "; ".join(_differences(recipe))
    if not exact:
        return Origin("native", shipped, "; ".join(filter(None, (differs, _rounds(spec)))))
    if differs:
        return Origin("composed", spec.spelling(), f"{shipped}: {differs}")
    return Origin("native", shipped)


def _lacks(spec: Optimizer) -> str:
    """What Keras ships nothing for."""
    match spec:
        case Momentum(dampening=dampening) if dampening:
            return "it has no dampening"
        case RMSProp(bias_correction=True):
            return "it corrects no bias"
        case Lion(beta1=0.0):
            return "it refuses β₁ = 0"
        case _:
            return ""


def _differences(recipe: Recipe) -> Iterable[str]:
    """Where Keras's formula under that name is another."""
    spec, constant = recipe.optimizer, isinstance(recipe.schedule, Constant)
    match spec:
        case AdaGrad(eps_placement="outside") | RMSProp(eps_placement="outside"):
            yield "its ε stands inside the root"
        case Adam(eps_placement="outside" | "inside"):
            yield "its ε-hat stands before the bias correction"
        case Adamax(eps_placement="inside"):
            yield "its ε stands outside the maximum"
        case LAMB(decay="inside") if isinstance(recipe.decay, Decoupled):
            yield "its decay stands outside the trust ratio"
    match spec:
        case Momentum(rate="outside", momentum=mu) | RMSProp(rate="outside", momentum=mu) if mu and not constant:
            yield "its rate stands inside the momentum buffer"
        case Adam(amsgrad="corrected"):
            yield "its AMSGrad takes the maximum of the raw v"
        case NAdam():
            yield from _nadam(spec)
        case Adafactor():
            yield from _adafactor(spec)
        case Muon():
            yield from _muon(spec)


def _nadam(spec: NAdam) -> Iterable[str]:
    if spec.momentum == "constant":
        yield "its momentum is scheduled with ψ = 1"
    elif spec.momentum_decay != 1:
        yield "its ψ is 1"
    yield "its 0.96 is rounded to float32"


def _adafactor(spec: Adafactor) -> Iterable[str]:
    if spec.rate == "plain":
        yield "its rate is at most 1/√t"
    if not spec.relative:
        yield "its rate is relative to rms(w)"
    if not spec.factored:
        yield "it factors V"


def _muon(spec: Muon) -> Iterable[str]:
    if spec.buffer != "sum":
        yield "its buffer is a sum"
    if spec.scale == "outputs":
        yield "its scale is 0.2√max(inputs, outputs)"
    if spec.eps != 1e-7:
        yield "its ε is 1e-7"
    yield "its Adam for other tensors has ε-hat before the bias correction"


def _rounds(spec: Optimizer) -> str:
    """What Keras computes in float32 whatever the precision, when given plain floats."""
    match spec:
        case Momentum():
            return "it rounds μ to float32"
        case AdaGrad():
            return "it rounds the initial accumulator to float32"
        case Adam() | LAMB() | Muon():
            return "it rounds β₁ and β₂ to float32 for the bias correction"
        case Adamax():
            return "it rounds β₁ to float32 for the bias correction"
        case NAdam() | Lion():
            return "it rounds β₁ and β₂ to float32"
        case Adafactor():
            return "it rounds ε₂ to float32"
        case _:
            return ""


def build(
    recipe: Recipe, exact: bool, rate: Rate, decays: tuple[float, ...], shared: dict[str, float]
) -> keras.Optimizer:
    """The optimizer of a recipe.

    ``decays`` are each parameter's λ inside a composed formula; ``shared`` what every Keras optimizer takes.
    """
    number = _number(exact)
    shared = {name: number(value) for name, value in shared.items()}
    if origin(recipe, exact).how == "composed":
        return Composed(recipe.optimizer, rate, decays, **shared)
    return _native(recipe.optimizer, rate, number, shared)


def _number(exact: bool) -> type[float]:
    """How Keras is given its hyperparameters: it rounds a plain float to float32, but not NumPy's float64.

    In float32 that would promote its arithmetic, and a plain float loses nothing.
    """
    return np.float64 if exact and keras.config.floatx() == "float64" else float


def _native(spec: Optimizer, rate: Rate, number: type[float], shared: dict[str, float]) -> keras.Optimizer:
    """Keras's own optimizer with the spec's words."""
    kinds = keras.optimizers
    match spec:
        case SGD():
            return kinds.SGD(rate, **shared)
        case Momentum(momentum=momentum, nesterov=nesterov):
            return kinds.SGD(rate, number(momentum), nesterov, **shared)
        case AdaGrad(eps=eps, initial_accumulator=initial):
            return kinds.Adagrad(rate, number(initial), number(eps), **shared)
        case RMSProp(beta=rho, eps=eps, centred=centred, momentum=momentum):
            return kinds.RMSprop(rate, number(rho), number(momentum), number(eps), centred, **shared)
        case Adam(beta1=beta1, beta2=beta2, eps=eps, amsgrad=amsgrad):
            kind = kinds.AdamW if "weight_decay" in shared else kinds.Adam
            words = {
                "beta_1": number(beta1),
                "beta_2": number(beta2),
                "epsilon": number(eps),
                "amsgrad": amsgrad != "no",
            }
            return kind(rate, **words, **shared)
        case Adadelta(rho=rho, eps=eps):
            # Plain floats, which it nowhere casts; as the left factor of a Keras variable NumPy's would be.
            return kinds.Adadelta(rate, rho, eps, **shared)
        case Adamax(beta1=beta1, beta2=beta2, eps=eps):
            return kinds.Adamax(rate, number(beta1), number(beta2), number(eps), **shared)
        case NAdam(beta1=beta1, beta2=beta2, eps=eps):
            return kinds.Nadam(rate, number(beta1), number(beta2), number(eps), **shared)
        case Lion(beta1=beta1, beta2=beta2):
            return kinds.Lion(rate, number(beta1), number(beta2), **shared)
        case Adafactor(beta2_decay=c, eps1=eps1, eps2=eps2, clip=clip):
            return kinds.Adafactor(rate, number(-c), number(eps1), number(eps2), number(clip), **shared)
        case LAMB(beta1=beta1, beta2=beta2, eps=eps):
            return kinds.Lamb(rate, number(beta1), number(beta2), number(eps), **shared)
        case Muon():
            return kinds.Muon(
                rate,
                adam_beta_1=number(spec.beta1),
                adam_beta_2=number(spec.beta2),
                epsilon=number(spec.adam_eps),
                momentum=number(spec.momentum),
                ns_steps=spec.iterations,
                nesterov=spec.nesterov,
                exclude_embeddings=False,
                rms_rate=None if spec.scale == "none" else 0.2,
                # Left out, either would be 0.004.
                **({"weight_decay": None} | shared),
                adam_weight_decay=shared.get("weight_decay"),
            )
        case _:
            raise TypeError(f"Keras has no {spec.spelling()}")
