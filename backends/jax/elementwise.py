"""Formulas of single elements that optax lacks, each as a transformation g → u with Δ = ηu.

The rate follows (or, inside a buffer, precedes) as ``optax.scale_by_learning_rate``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from harness.spec.optimizers import AdaGrad, Adam, Adamax, Adan, Momentum, NAdam, RAdam, Rprop, Yogi

State = dict[str, Any]  # what a formula keeps of one tensor


class At(NamedTuple):
    """One tensor at one step."""

    g: Array
    w: Array
    t: Array  # 1, 2, …


class Tensors(NamedTuple):
    """State of a transformation that treats each tensor alone: the steps done, and what it keeps of each."""

    done: Array
    kept: dict[str, State]


def by_tensor(
    initial: Callable[[Array], State], step: Callable[[At, State], tuple[Array, State]]
) -> optax.GradientTransformation:
    """The transformation that makes u of every tensor by ``step``, from the state that ``initial`` makes of w."""

    def init(w: dict[str, Array]) -> Tensors:
        return Tensors(jnp.zeros((), jnp.int32), {name: initial(one) for name, one in w.items()})

    def update(g: dict[str, Array], state: Tensors, w: dict[str, Array]) -> tuple[dict[str, Array], Tensors]:
        t = state.done + 1
        made = {name: step(At(g[name], w[name], t), state.kept[name]) for name in g}
        return {name: u for name, (u, _) in made.items()}, Tensors(t, {name: kept for name, (_, kept) in made.items()})

    return optax.GradientTransformation(init, update)


def zeros(*names: str) -> Callable[[Array], State]:
    """An initial state of zeros."""
    return lambda w: {name: jnp.zeros_like(w) for name in names}


def dampened(spec: Momentum) -> optax.GradientTransformation:
    """v ← μv + (1 − d)g; u = v, with v₁ = g if the first step is plain."""

    def step(at: At, state: State) -> tuple[Array, State]:
        plain = (at.t == 1) & (spec.first == "plain")
        v = spec.momentum * state["v"] + jnp.where(plain, 1.0, 1 - spec.dampening) * at.g
        return v, {"v": v}

    return by_tensor(zeros("v"), step)


def adagrad(spec: AdaGrad) -> optax.GradientTransformation:
    """h ← h + g²; u = g/(√h + ε), or g/√(h + ε)."""

    def step(at: At, state: State) -> tuple[Array, State]:
        h = state["h"] + jnp.square(at.g)
        return at.g / root(h, spec.eps, spec.eps_placement), {"h": h}

    return by_tensor(lambda w: {"h": jnp.full_like(w, spec.initial_accumulator)}, step)


def adam(spec: Adam) -> optax.GradientTransformation:
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; u = m̂/(√v̂ + ε), in the spec's variants.

    ε-hat stands beside √v, not beside √v̂ = √v/√(1 − β₂ᵗ): so it is ε/√(1 − β₂ᵗ) here.
    """

    def step(at: At, state: State) -> tuple[Array, State]:
        c1, c2 = 1 - spec.beta1**at.t, 1 - spec.beta2**at.t
        state = moments(spec, at.g, state)
        v_hat = state["v"] / c2
        if spec.amsgrad == "corrected":
            v_hat = state["maximum"] = jnp.maximum(state["maximum"], v_hat)
        if spec.amsgrad == "raw":
            state["maximum"] = jnp.maximum(state["maximum"], state["v"])
            v_hat = state["maximum"] / c2
        eps = spec.eps / jnp.sqrt(c2) if spec.eps_placement == "hat" else spec.eps
        return state["m"] / c1 / root(v_hat, eps, spec.eps_placement), state

    return by_tensor(zeros("m", "v") if spec.amsgrad == "no" else zeros("m", "v", "maximum"), step)


def adamax(spec: Adamax) -> optax.GradientTransformation:
    """m ← β₁m + (1 − β₁)g; U ← max(β₂U, |g|); u = m̂/(U + ε)."""

    def step(at: At, state: State) -> tuple[Array, State]:
        m = spec.beta1 * state["m"] + (1 - spec.beta1) * at.g
        greatest = jnp.maximum(spec.beta2 * state["greatest"], jnp.abs(at.g))
        return m / (1 - spec.beta1**at.t) / (greatest + spec.eps), {"m": m, "greatest": greatest}

    return by_tensor(zeros("m", "greatest"), step)


def nadam(spec: NAdam) -> optax.GradientTransformation:
    """u = [(1 − μₜ)/(1 − Pₜ)·g + μₜ₊₁/(1 − Pₜ₊₁)·m]/(√v̂ + ε), μₜ = β₁(1 − ½·0.96^(tψ)), Pₜ = μ₁⋯μₜ."""

    def momentum(t: Array) -> Array:
        return spec.beta1 * (1 - 0.5 * 0.96 ** (spec.momentum_decay * t))

    def step(at: At, state: State) -> tuple[Array, State]:
        product = state["product"] * momentum(at.t)
        after = momentum(at.t + 1)
        state = moments(spec, at.g, state) | {"product": product}
        ahead = (1 - momentum(at.t)) / (1 - product) * at.g + after / (1 - product * after) * state["m"]
        return ahead / (jnp.sqrt(state["v"] / (1 - spec.beta2**at.t)) + spec.eps), state

    return by_tensor(lambda w: zeros("m", "v")(w) | {"product": jnp.ones((), w.dtype)}, step)


def radam(spec: RAdam, steps: int) -> optax.GradientTransformation:
    """u = rₜm̂/(√v̂ + ε) where ρₜ > threshold, else m̂; ε-hat: u = rₜm̂√(1 − β₂ᵗ)/(√v + ε̂).

    ρ∞ = 2/(1 − β₂) − 1; ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ); rₜ² = (ρₜ − 4)(ρₜ − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρₜ). Tabulated in float64:
    ρₜ is a small difference of large numbers, of which float32 keeps three digits.
    """
    limit, times = 2 / (1 - spec.beta2) - 1, np.arange(1, max(steps, 1) + 1)
    powers = np.array([spec.beta2 ** int(t) for t in times])  # NumPy's own powers end an ulp elsewhere: 1e-12 in rₜ
    corrections = 1 - powers
    rho = limit - 2 * times * powers / corrections
    rectified = rho > spec.threshold
    squares = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
    r = np.sqrt(squares, out=np.ones(len(times)), where=rectified)

    def step(at: At, state: State) -> tuple[Array, State]:
        state = moments(spec, at.g, state)
        m_hat = state["m"] / (1 - spec.beta1**at.t)
        r_t, c2 = (jnp.asarray(table, at.g.dtype)[at.t - 1] for table in (r, corrections))
        hat = spec.eps_placement == "hat"
        root_v = jnp.sqrt(state["v"]) if hat else jnp.sqrt(state["v"] / c2)
        scaled = r_t * m_hat * (jnp.sqrt(c2) if hat else 1.0) / (root_v + spec.eps)
        return jnp.where(jnp.asarray(rectified)[at.t - 1], scaled, m_hat), state

    return by_tensor(zeros("m", "v"), step)


def yogi(spec: Yogi) -> optax.GradientTransformation:
    """m ← β₁m + (1 − β₁)g; v ← v − (1 − β₂)sign(v − g²)g²; u = m/(√v + ε)."""

    def step(at: At, state: State) -> tuple[Array, State]:
        m = spec.beta1 * state["m"] + (1 - spec.beta1) * at.g
        square = jnp.square(at.g)
        v = state["v"] - (1 - spec.beta2) * jnp.sign(state["v"] - square) * square
        return m / (jnp.sqrt(v) + spec.eps), {"m": m, "v": v}

    return by_tensor(lambda w: {name: jnp.full_like(w, spec.initial_accumulator) for name in ("m", "v")}, step)


def adan(spec: Adan) -> optax.GradientTransformation:
    """d = g − g₋₁, 0 at first; m, v, n ← means of g, d, (g + β₂d)²; u = (m̂ + β₂v̂)/(√n̂ + ε)."""

    def step(at: At, state: State) -> tuple[Array, State]:
        d = jnp.where(at.t == 1, 0.0, at.g - state["g"])
        m = spec.beta1 * state["m"] + (1 - spec.beta1) * at.g
        v = spec.beta2 * state["v"] + (1 - spec.beta2) * d
        n = spec.beta3 * state["n"] + (1 - spec.beta3) * jnp.square(at.g + spec.beta2 * d)
        c1, c2, c3 = (1 - beta**at.t for beta in (spec.beta1, spec.beta2, spec.beta3))
        u = (m / c1 + spec.beta2 * v / c2) / (jnp.sqrt(n / c3) + spec.eps)
        return u, {"g": at.g, "m": m, "v": v, "n": n}

    return by_tensor(zeros("g", "m", "v", "n"), step)


def rprop(spec: Rprop) -> optax.GradientTransformation:
    """u = s·sign(g)/lr: s grows where g keeps its sign and shrinks where it changes, where g then counts as 0."""

    def step(at: At, state: State) -> tuple[Array, State]:
        agrees = jnp.sign(at.g) * jnp.sign(state["g"])
        resized = jnp.clip(
            state["s"] * jnp.where(agrees > 0, spec.grow, spec.shrink), min=spec.smallest, max=spec.largest
        )
        s = jnp.where(agrees == 0, state["s"], resized)
        g = jnp.where(agrees < 0, 0.0, at.g)
        return s * jnp.sign(g) / spec.lr, {"g": g, "s": s}

    return by_tensor(lambda w: zeros("g")(w) | {"s": jnp.full_like(w, spec.lr)}, step)


def moments(spec: Adam | NAdam | RAdam, g: Array, state: State) -> State:
    """The state with m ← β₁m + (1 − β₁)g and v ← β₂v + (1 − β₂)g²."""
    return state | {
        "m": spec.beta1 * state["m"] + (1 - spec.beta1) * g,
        "v": spec.beta2 * state["v"] + (1 - spec.beta2) * jnp.square(g),
    }


def root(h: Array, eps: Array | float, placement: str) -> Array:
    """√(h + ε) with ε inside, else √h + ε."""
    return jnp.sqrt(h + eps) if placement == "inside" else jnp.sqrt(h) + eps
