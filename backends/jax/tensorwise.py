"""Formulas of whole tensors that optax lacks, each as a transformation g → u with Δ = ηu."""

import jax.numpy as jnp
import optax
from jax import Array

from backends.jax.elementwise import At, State, by_tensor, zeros
from harness.spec.optimizers import LARS, Adafactor, Muon


def adafactor(spec: Adafactor) -> optax.GradientTransformation:
    """β̂ = 1 − t^(−c); V ← β̂V + (1 − β̂)(g² + ε₁), or RC/mean(R) of its means R over the last axis, C the one before.

    u = g/√V.
    """

    def initial(w: Array) -> State:
        if spec.factored and w.ndim >= 2:
            return {
                "rows": jnp.zeros_like(w, shape=(*w.shape[:-1], 1)),
                "columns": jnp.zeros_like(w, shape=(*w.shape[:-2], 1, w.shape[-1])),
            }
        return {"v": jnp.zeros_like(w)}

    def step(at: At, state: State) -> tuple[Array, State]:
        old = 1 - at.t**-spec.beta2_decay
        square = jnp.square(at.g) + spec.eps1
        if "v" in state:
            v = old * state["v"] + (1 - old) * square
            return at.g / jnp.sqrt(v), {"v": v}
        rows = old * state["rows"] + (1 - old) * jnp.mean(square, axis=-1, keepdims=True)
        columns = old * state["columns"] + (1 - old) * jnp.mean(square, axis=-2, keepdims=True)
        # The product of two small means could be 0 in float32 where the mean of R would have made up for it.
        v = rows / jnp.mean(rows, axis=-2, keepdims=True) * columns
        return at.g / jnp.sqrt(v), {"rows": rows, "columns": columns}

    return by_tensor(initial, step)


def lars(spec: LARS, decay: dict[str, float]) -> optax.GradientTransformation:
    """u = κ(g + λw), κ = c‖w‖/(‖g‖ + λ‖w‖ + ε), or 1 where ‖w‖ or the denominator is 0; λ of each tensor."""

    def trusted(g: Array, w: Array, rate: float) -> Array:
        above = spec.trust * norm(w)
        below = norm(g) + rate * norm(w) + spec.eps
        some = (above > 0) & (below > 0)
        return jnp.where(some, above / jnp.where(some, below, 1.0), 1.0) * (g + rate * w)

    return optax.stateless(lambda g, w: {name: trusted(g[name], w[name], rate) for name, rate in decay.items()})


def muon(spec: Muon) -> optax.GradientTransformation:
    """B ← μB + g; u = s·NS(g + μB), in the spec's variants; for what is no matrix u = m̂/(√v̂ + ε), as in Adam."""
    mu, share = spec.momentum, 1.0 if spec.buffer == "sum" else 1 - spec.momentum

    def step(at: At, state: State) -> tuple[Array, State]:
        if at.g.ndim != 2:
            return vector(at, state)
        b = mu * state["b"] + share * at.g
        now, after = (1 - mu**at.t, 1 - mu ** (at.t + 1)) if spec.buffer == "corrected" else (1.0, 1.0)
        direction = share * at.g / now + mu * b / after if spec.nesterov else b / now
        return size(*at.g.shape) * newton_schulz(direction, spec.iterations, spec.eps), {"b": b}

    def vector(at: At, state: State) -> tuple[Array, State]:
        m = spec.beta1 * state["m"] + (1 - spec.beta1) * at.g
        v = spec.beta2 * state["v"] + (1 - spec.beta2) * jnp.square(at.g)
        m_hat, v_hat = m / (1 - spec.beta1**at.t), v / (1 - spec.beta2**at.t)
        return m_hat / (jnp.sqrt(v_hat) + spec.adam_eps), {"m": m, "v": v}

    def size(inputs: int, outputs: int) -> float:
        match spec.scale:
            case "outputs":
                return float(max(1.0, outputs / inputs) ** 0.5)
            case "rms":
                return float(0.2 * max(inputs, outputs) ** 0.5)
            case "none":
                return 1.0

    return by_tensor(lambda w: zeros("b")(w) if w.ndim == 2 else zeros("m", "v")(w), step)


def newton_schulz(m: Array, iterations: int, eps: float) -> Array:
    """X = M/(‖M‖ + ε) towards UVᵀ of M = UΣVᵀ: A = XXᵀ; X ← aX + (bA + cA²)X, with the shorter side first."""
    a, b, c = 3.4445, -4.7750, 2.0315
    upright = m.shape[0] > m.shape[1]
    x = m.T if upright else m
    x = x / (norm(x) + eps)
    for _ in range(iterations):
        gram = product(x, x.T)
        x = a * x + product(b * gram + c * product(gram, gram), x)
    return x.T if upright else x


def product(left: Array, right: Array) -> Array:
    """A matrix product whose factors a GPU may not round to TF32."""
    return jnp.matmul(left, right, precision="highest")


def norm(w: Array) -> Array:
    """‖w‖."""
    return jnp.sqrt(jnp.sum(jnp.square(w)))
