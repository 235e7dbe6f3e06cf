"""Optimizers: optax's where its transformations compute the formula, else composed here as small ones of our own.

Each makes −Δ of g, as ``optax.apply_updates`` wants it. What is composed makes u, with Δ = ηu, and the rate follows
(or, inside a buffer, precedes) as ``optax.scale_by_learning_rate``.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from backends.jax.schedules import Rate
from harness.backend import Origin
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, Optimizer, RMSProp
from harness.spec.recipe import Decoupled, Recipe
from harness.spec.schedules import Constant

Tree = Any  # a dict of arrays, one for each parameter


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


def _unless(exact: bool, native: str, formula: str, difference: str) -> Origin:
    if exact:
        return Origin("composed", formula, f"{native}: {difference}")
    return Origin("native", native, difference)


def _constant(recipe: Recipe) -> bool:
    return isinstance(recipe.schedule, Constant)


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


def exact(spec: Optimizer, rate: Rate) -> optax.GradientTransformation:
    """The spec's formula."""
    eta = optax.scale_by_learning_rate(rate)
    match spec:
        case Momentum(rate="inside"):
            return optax.chain(eta, buffer(spec))
        case Momentum():
            return optax.chain(buffer(spec), eta)
        case AdaGrad(eps_placement="outside") | AdaGrad(eps=0, initial_accumulator=0):
            return optax.chain(scale_by_adagrad(spec), eta)
        case RMSProp(momentum=momentum, rate="outside") if momentum:
            kind = optax.scale_by_stddev if spec.centred else optax.scale_by_rms
            inside = spec.eps_placement == "inside"
            root = kind(spec.beta, spec.eps, eps_in_sqrt=inside, bias_correction=spec.bias_correction)
            return optax.chain(root, optax.trace(momentum), eta)
        case Adam(eps_placement="hat") | Adam(amsgrad="raw"):
            return optax.chain(scale_by_adam(spec), eta)
        case _:
            return shipped(spec, rate)


def shipped(spec: Optimizer, rate: Rate) -> optax.GradientTransformation:
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
    return scale_by_dampened(spec) if spec.dampening else optax.trace(spec.momentum, spec.nesterov)


class Dampened(NamedTuple):
    """State of a dampened momentum: the steps done, and v."""

    done: Array
    v: Tree


def scale_by_dampened(spec: Momentum) -> optax.GradientTransformation:
    """v ← μv + (1 − d)g; u = v, with v₁ = g if the first step is plain."""

    def init(w: Tree) -> Dampened:
        return Dampened(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, w))

    def update(g: Tree, state: Dampened, w: Tree = None) -> tuple[Tree, Dampened]:
        plain = (state.done == 0) & (spec.first == "plain")
        share = jnp.where(plain, 1.0, 1 - spec.dampening)
        v = jax.tree.map(lambda v, g: spec.momentum * v + share * g, state.v, g)
        return v, Dampened(state.done + 1, v)

    return optax.GradientTransformation(init, update)


def scale_by_adagrad(spec: AdaGrad) -> optax.GradientTransformation:
    """h ← h + g²; u = g/(√h + ε), or g/√(h + ε). The state is h."""

    def init(w: Tree) -> Tree:
        return jax.tree.map(lambda w: jnp.full_like(w, spec.initial_accumulator), w)

    def update(g: Tree, h: Tree, w: Tree = None) -> tuple[Tree, Tree]:
        h = jax.tree.map(lambda h, g: h + g * g, h, g)
        return jax.tree.map(lambda g, h: g / root(h, spec.eps, spec.eps_placement), g, h), h

    return optax.GradientTransformation(init, update)


class Moments(NamedTuple):
    """State of Adam: the steps done, m, v and the maximum so far of v (raw) or v̂ (corrected)."""

    done: Array
    m: Tree
    v: Tree
    maximum: Tree


def scale_by_adam(spec: Adam) -> optax.GradientTransformation:
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; u = m̂/(√v̂ + ε), in the spec's variants.

    ε-hat stands beside √v, not beside √v̂ = √v/√(1 − β₂ᵗ): so it is ε/√(1 − β₂ᵗ) here.
    """
    b1, b2 = spec.beta1, spec.beta2

    def init(w: Tree) -> Moments:
        m, v, maximum = (jax.tree.map(jnp.zeros_like, w) for _ in range(3))
        return Moments(jnp.zeros((), jnp.int32), m, v, maximum if spec.amsgrad != "no" else ())

    def update(g: Tree, state: Moments, w: Tree = None) -> tuple[Tree, Moments]:
        t, maximum = state.done + 1, state.maximum
        c1, c2 = 1 - b1**t, 1 - b2**t
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.m, g)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.v, g)
        v_hat = jax.tree.map(lambda v: v / c2, v)
        if spec.amsgrad == "corrected":
            v_hat = maximum = jax.tree.map(jnp.maximum, maximum, v_hat)
        if spec.amsgrad == "raw":
            maximum = jax.tree.map(jnp.maximum, maximum, v)
            v_hat = jax.tree.map(lambda v: v / c2, maximum)
        eps = spec.eps / jnp.sqrt(c2) if spec.eps_placement == "hat" else spec.eps
        u = jax.tree.map(lambda m, v: m / c1 / root(v, eps, spec.eps_placement), m, v_hat)
        return u, Moments(t, m, v, maximum)

    return optax.GradientTransformation(init, update)


def root(h: Array, eps: Array | float, placement: str) -> Array:
    """√(h + ε) with ε inside, else √h + ε."""
    return jnp.sqrt(h + eps) if placement == "inside" else jnp.sqrt(h) + eps
