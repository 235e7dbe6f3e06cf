"""Optimizers in TensorFlow's primitives: one function an algorithm, from what is at hand and its state to Δ.

The names are those of ``harness.spec.optimizers``, whose formulas these are. What depends on the step alone is a
scalar, computed in float64 and rounded once: in float32, 1 − βᵗ would lose half of its digits.
"""

from typing import NamedTuple

import tensorflow as tf

from harness.spec.optimizers import (
    LAMB,
    LARS,
    LBFGS,
    AdaBelief,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    Adan,
    Lion,
    Momentum,
    Muon,
    NAdam,
    RAdam,
    RMSProp,
    Rprop,
    ScheduleFree,
    Yogi,
)

State = dict[str, tf.Variable]


class At(NamedTuple):
    """One parameter at one step."""

    g: tf.Tensor  # the clipped gradient, with the coupled decay
    w: tf.Tensor  # the weights at which it was taken
    eta: tf.Tensor  # the rate, a scalar of their precision
    t: tf.Tensor  # 1, 2, …, a float64 scalar
    decay: float = 0.0  # λ of a decoupled decay, where the formula takes one; a tensor in a joint formula

    def scalar(self, value: tf.Tensor | float) -> tf.Tensor:
        """A float64 scalar in the precision of the weights."""
        return tf.cast(tf.convert_to_tensor(value, tf.float64), self.g.dtype)

    def correction(self, beta: float) -> tf.Tensor:
        """1 − βᵗ."""
        return self.scalar(_correction(beta, self.t))

    def decayed(self, u: tf.Tensor) -> tf.Tensor:
        """u + λw."""
        return u + self.decay * self.w if self.decay else u


def momentum(spec: Momentum, at: At, state: State) -> tf.Tensor:
    """v ← μv + (1 − d)g; Δ = ηv, with nesterov Δ = η(g + μv). Rate inside: v ← μv + η(1 − d)g; Δ = v or ηg + μv."""
    g, eta, mu = at.g, at.eta, spec.momentum
    share = at.scalar(1 - spec.dampening)
    if spec.first == "plain":
        share = tf.where(at.t == 1, tf.ones_like(share), share)
    if spec.rate == "inside":
        v = _keep(state["v"], mu * state["v"] + eta * share * g)
        return eta * g + mu * v if spec.nesterov else v
    v = _keep(state["v"], mu * state["v"] + share * g)
    return eta * (g + mu * v) if spec.nesterov else eta * v


def adagrad(spec: AdaGrad, at: At, state: State) -> tf.Tensor:
    """h ← h + g²; Δ = ηg/√(h + ε), or ηg/(√h + ε)."""
    h = _keep(state["h"], state["h"] + tf.square(at.g))
    return at.eta * at.g / _root(h, spec.eps, spec.eps_placement)


def rmsprop(spec: RMSProp, at: At, state: State) -> tf.Tensor:
    """h ← βh + (1 − β)g²; u = g/√(h + ε) or g/(√h + ε), centred with h − m²; Δ = ηu, or v ← μv + u; Δ = ηv."""
    h = _mean(state["h"], spec.beta, tf.square(at.g))
    if spec.bias_correction:
        h /= at.correction(spec.beta)
    if spec.centred:
        h -= tf.square(_mean(state["m"], spec.beta, at.g))
    u = at.g / _root(h, spec.eps, spec.eps_placement)
    if not spec.momentum:
        return at.eta * u
    if spec.rate == "inside":
        return _keep(state["v"], spec.momentum * state["v"] + at.eta * u)
    return at.eta * _keep(state["v"], spec.momentum * state["v"] + u)


def adam(spec: Adam, at: At, state: State) -> tf.Tensor:
    """Δ = ηm̂/(√v̂ + ε), ηm̂/√(v̂ + ε) or η√(1 − β₂ᵗ)/(1 − β₁ᵗ)·m/(√v + ε̂); AMSGrad with the greatest v or v̂ so far."""
    c1, c2 = at.correction(spec.beta1), at.correction(spec.beta2)
    m = _mean(state["m"], spec.beta1, at.g)
    v = _mean(state["v"], spec.beta2, tf.square(at.g))
    if spec.amsgrad == "raw":
        v = _keep(state["max"], tf.maximum(state["max"], v))
    v_hat = v / c2
    if spec.amsgrad == "corrected":
        v_hat = _keep(state["max"], tf.maximum(state["max"], v_hat))
    if spec.eps_placement == "hat":
        return at.eta * tf.sqrt(c2) / c1 * m / (tf.sqrt(c2 * v_hat) + spec.eps)
    return at.eta / c1 * m / _root(v_hat, spec.eps, spec.eps_placement)


def adamax(spec: Adamax, at: At, state: State) -> tf.Tensor:
    """u ← max(β₂u, |g| + ε); Δ = η/(1 − β₁ᵗ)·m/u."""
    m = _mean(state["m"], spec.beta1, at.g)
    u = _keep(state["u"], tf.maximum(spec.beta2 * state["u"], tf.abs(at.g) + spec.eps))
    return at.eta / at.correction(spec.beta1) * m / u


def nadam(spec: NAdam, at: At, state: State) -> tf.Tensor:
    """Δ = η[(1 − μₜ)/(1 − Pₜ)·g + μₜ₊₁/(1 − Pₜ₊₁)·m]/(√v̂ + ε), Pₜ = μ₁⋯μₜ, μₜ = β₁(1 − ½·0.96^(tψ)) or β₁."""

    def mu(t: tf.Tensor) -> tf.Tensor:
        if spec.momentum == "constant":
            return tf.constant(spec.beta1, tf.float64)
        return spec.beta1 * (1 - 0.5 * tf.pow(tf.constant(0.96, tf.float64), t * spec.momentum_decay))

    now, after = mu(at.t), mu(at.t + 1)
    product = _keep(state["product"], state["product"] * now)
    of_g, of_m = at.scalar((1 - now) / (1 - product)), at.scalar(after / (1 - product * after))
    m = _mean(state["m"], spec.beta1, at.g)
    v = _mean(state["v"], spec.beta2, tf.square(at.g))
    return at.eta * (of_g * at.g + of_m * m) / (tf.sqrt(v / at.correction(spec.beta2)) + spec.eps)


def radam(spec: RAdam, at: At, state: State) -> tf.Tensor:
    """Δ = ηrₜm̂/(√v̂ + ε), with ε̂ ηrₜm̂√(1 − β₂ᵗ)/(√v + ε̂), where ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ) > threshold, else ηm̂.

    ρ∞ = 2/(1 − β₂) − 1; rₜ² = (ρₜ − 4)(ρₜ − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρₜ).
    """
    m_hat = _mean(state["m"], spec.beta1, at.g) / at.correction(spec.beta1)
    v = _mean(state["v"], spec.beta2, tf.square(at.g))
    c2 = _correction(spec.beta2, at.t)
    limit = 2 / (1 - spec.beta2) - 1
    rho = limit - 2 * at.t * (1 - c2) / c2
    r = tf.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
    if spec.eps_placement == "hat":
        rectified = at.scalar(r * tf.sqrt(c2)) / (tf.sqrt(v) + spec.eps)
    else:
        rectified = at.scalar(r) / (tf.sqrt(v / at.scalar(c2)) + spec.eps)
    return at.eta * m_hat * tf.where(rho > spec.threshold, rectified, tf.ones_like(v))


def lion(spec: Lion, at: At, state: State) -> tf.Tensor:
    """Δ = η sign(β₁m + (1 − β₁)g); m ← β₂m + (1 − β₂)g."""
    u = tf.sign(spec.beta1 * state["m"] + (1 - spec.beta1) * at.g)
    _mean(state["m"], spec.beta2, at.g)
    return at.eta * u


def adafactor(spec: Adafactor, at: At, state: State) -> tf.Tensor:
    """V ← β̂V + (1 − β̂)(g² + ε₁), β̂ = 1 − t^(−c), or RC/mean(R) of its means R over the last axis, C the one before.

    u = g/√V; Δ = α·u/max(1, rms(u)/d); α = max(ε₂, rms(w))·ρ or ρ; ρ = min(η, 1/√t) or η.
    """
    share = at.scalar(tf.pow(at.t, -spec.beta2_decay))

    def mean(kept: tf.Variable, value: tf.Tensor) -> tf.Tensor:
        return _keep(kept, (1 - share) * kept + share * value)

    square = tf.square(at.g) + spec.eps1
    if "rows" in state:
        rows = mean(state["rows"], tf.reduce_mean(square, -1, keepdims=True))
        columns = mean(state["columns"], tf.reduce_mean(square, -2, keepdims=True))
        v = rows / tf.reduce_mean(rows, -2, keepdims=True) * columns
    else:
        v = mean(state["v"], square)
    u = at.g / tf.sqrt(v)
    alpha = tf.minimum(at.eta, at.scalar(tf.math.rsqrt(at.t))) if spec.rate == "capped" else at.eta
    if spec.relative:
        alpha *= tf.maximum(_rms(at.w), spec.eps2)
    return alpha / tf.maximum(_rms(u) / spec.clip, 1) * u


def lars(spec: LARS, at: At, state: State) -> tf.Tensor:
    """κ = c‖w‖/(‖g‖ + λ‖w‖ + ε), or c‖w‖/(‖g + λw‖ + ε); v ← μv + ηκ(g + λw); Δ = v."""
    g, size = at.decayed(at.g), tf.norm(at.w)
    below = tf.norm(g) if spec.norm == "joint" else tf.norm(at.g) + at.decay * size
    kappa = _trust(spec.trust * size, below + spec.eps)
    return _keep(state["v"], spec.momentum * state["v"] + at.eta * kappa * g)


def lamb(spec: LAMB, at: At, state: State) -> tf.Tensor:
    """u = m̂/(√v̂ + ε) + λw; Δ = η‖w‖/‖u‖·u."""
    m_hat = _mean(state["m"], spec.beta1, at.g) / at.correction(spec.beta1)
    v_hat = _mean(state["v"], spec.beta2, tf.square(at.g)) / at.correction(spec.beta2)
    u = at.decayed(m_hat / (tf.sqrt(v_hat) + spec.eps))
    return at.eta * _trust(tf.norm(at.w), tf.norm(u)) * u


def muon(spec: Muon, at: At, state: State) -> tf.Tensor:
    """B ← μB + g; Δ = ηs·NS(g + μB), or of a mean, or of a corrected mean; Adam for what is no matrix."""
    if at.g.shape.rank != 2:
        return adam(Adam(spec.lr, spec.beta1, spec.beta2, spec.adam_eps), at, state)
    mu = spec.momentum
    share = 1.0 if spec.buffer == "sum" else 1 - mu
    b = _keep(state["b"], mu * state["b"] + share * at.g)
    corrected = spec.buffer == "corrected"
    now = at.correction(mu) if corrected else 1.0
    if spec.nesterov:
        after = at.scalar(_correction(mu, at.t + 1)) if corrected else 1.0
        direction = share / now * at.g + mu / after * b
    else:
        direction = b / now
    inputs, outputs = at.g.shape
    scale = {"outputs": max(1, outputs / inputs) ** 0.5, "rms": 0.2 * max(inputs, outputs) ** 0.5, "none": 1.0}
    return at.eta * scale[spec.scale] * newton_schulz(direction, spec.iterations, spec.eps)


def newton_schulz(m: tf.Tensor, iterations: int, eps: float) -> tf.Tensor:
    """X = M/(‖M‖ + ε), lying; then A = XXᵀ; X ← aX + (bA + cA²)X."""
    a, b, c = 3.4445, -4.7750, 2.0315
    stands = m.shape[0] > m.shape[1]
    x = tf.transpose(m) if stands else m
    x /= tf.norm(x) + eps
    for _ in range(iterations):
        gram = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * gram + c * tf.matmul(gram, gram), x)
    return tf.transpose(x) if stands else x


def rprop(spec: Rprop, at: At, state: State) -> tf.Tensor:
    """s grows where g keeps its sign and shrinks where it changes, where g then counts as 0; Δ = (η/lr)·s·sign(g)."""
    agrees = tf.sign(at.g) * tf.sign(state["g"])
    changed = tf.where(agrees > 0, spec.grow * state["s"], spec.shrink * state["s"])
    clipped = tf.clip_by_value(changed, spec.smallest, spec.largest)
    s = _keep(state["s"], tf.where(agrees == 0, state["s"], clipped))
    g = _keep(state["g"], tf.where(agrees < 0, tf.zeros_like(at.g), at.g))
    return at.eta / spec.lr * s * tf.sign(g)


def yogi(spec: Yogi, at: At, state: State) -> tf.Tensor:
    """v ← v − (1 − β₂)sign(v − g²)g²; Δ = ηm̂/(√v̂ + ε), or ηm/(√v + ε)."""
    square = tf.square(at.g)
    m = _mean(state["m"], spec.beta1, at.g)
    v = _keep(state["v"], state["v"] - (1 - spec.beta2) * tf.sign(state["v"] - square) * square)
    if spec.bias_correction:
        m, v = m / at.correction(spec.beta1), v / at.correction(spec.beta2)
    return at.eta * m / (tf.sqrt(v) + spec.eps)


def adabelief(spec: AdaBelief, at: At, state: State) -> tf.Tensor:
    """s ← β₂s + (1 − β₂)(g − m)² + ε'; Δ = ηm̂/(√ŝ + ε)."""
    m = _mean(state["m"], spec.beta1, at.g)
    s = _keep(state["s"], spec.beta2 * state["s"] + (1 - spec.beta2) * tf.square(at.g - m) + spec.eps_inside)
    return at.eta * m / at.correction(spec.beta1) / (tf.sqrt(s / at.correction(spec.beta2)) + spec.eps)


def adan(spec: Adan, at: At, state: State) -> tf.Tensor:
    """d = g − g₋₁; m, v, n ← means of g, d, (g + kd)²; Δ = η(m̂ + kv̂)/(√n̂ + ε)."""
    k = spec.beta2 if spec.ahead == "beta2" else 1 - spec.beta2
    d = tf.where(at.t > 1, at.g - state["g"], tf.zeros_like(at.g))
    _keep(state["g"], at.g)
    m_hat = _mean(state["m"], spec.beta1, at.g) / at.correction(spec.beta1)
    v_hat = _mean(state["v"], spec.beta2, d) / at.correction(spec.beta2)
    n_hat = _mean(state["n"], spec.beta3, tf.square(at.g + k * d)) / at.correction(spec.beta3)
    return at.eta * (m_hat + k * v_hat) / (tf.sqrt(n_hat) + spec.eps)


def schedule_free(spec: ScheduleFree, at: At, state: State) -> tf.Tensor:
    """z ← z − η(u + λw); x ← (1 − c)x + cz; Δ leads from w to (1 − β)z + βx."""
    u = at.g
    if spec.base == "adam":
        v_hat = _mean(state["v"], spec.beta2, tf.square(at.g)) / at.correction(spec.beta2)
        u = at.g / (tf.sqrt(v_hat) + spec.eps)
    z = _keep(state["z"], state["z"] - at.eta * at.decayed(u))
    if spec.weights == "equal":
        c = at.scalar(1 / at.t)
    else:
        square = tf.square(at.eta)
        c = tf.math.divide_no_nan(square, _keep(state["squares"], state["squares"] + square))
    x = _keep(state["x"], (1 - c) * state["x"] + c * z)
    return at.w - ((1 - spec.beta) * z + spec.beta * x)


def lbfgs(spec: LBFGS, at: At, state: State) -> tf.Tensor:
    """Δ = η(Hg + λw) of all parameters in one vector, of the pairs s = −Δ₋₁, y = g − g₋₁.

    They are the rows of S and Y, the newest last, empty ones 0.
    """
    s, y = tf.convert_to_tensor(state["step"]), at.g - state["g"]
    _keep(state["g"], at.g)
    accepted = (at.t > 1) & (_dot(s, y) > spec.curvature)

    def with_newest(rows: tf.Variable, newest: tf.Tensor) -> tf.Tensor:
        return _keep(rows, tf.where(accepted, tf.concat([rows[1:], newest[tf.newaxis]], 0), rows))

    along = two_loops(with_newest(state["s"], s), with_newest(state["y"], y), at.g)
    size = {"l1": tf.reduce_sum(tf.abs(at.g)), "l2": tf.norm(at.g), "plain": tf.ones_like(at.eta)}[spec.first]
    first = tf.minimum(1 / size, 1) * at.g  # where g is 0 the quotient is ∞
    return -_keep(state["step"], -at.eta * (tf.where(at.t == 1, first, along) + at.decay * at.w))


def two_loops(s: tf.Tensor, y: tf.Tensor, g: tf.Tensor) -> tf.Tensor:
    """Hg, with H₀ = γI, γ = sᵀy/yᵀy of the newest pair or 1 (Nocedal & Wright 2006, algorithm 7.4).

    An empty row has sᵀy = 0, which makes its part of either loop 0.
    """
    pairs = list(zip(tf.unstack(s), tf.unstack(y), tf.unstack(tf.reduce_sum(s * y, 1)), strict=True))
    shares = []
    for s_i, y_i, s_y in reversed(pairs):
        shares.append(tf.math.divide_no_nan(_dot(s_i, g), s_y))
        g -= shares[-1] * y_i
    _, y_i, s_y = pairs[-1]
    g *= tf.where(s_y > 0, s_y / _dot(y_i, y_i), tf.ones_like(s_y))
    for (s_i, y_i, s_y), share in zip(pairs, reversed(shares), strict=True):
        g += (share - tf.math.divide_no_nan(_dot(y_i, g), s_y)) * s_i
    return g


def _keep(variable: tf.Variable, value: tf.Tensor) -> tf.Tensor:
    variable.assign(value)
    return value


def _mean(variable: tf.Variable, beta: float, value: tf.Tensor) -> tf.Tensor:
    """x ← βx + (1 − β)·value."""
    return _keep(variable, beta * variable + (1 - beta) * value)


def _correction(beta: float, t: tf.Tensor) -> tf.Tensor:
    """1 − βᵗ in float64."""
    return 1 - tf.pow(tf.constant(beta, tf.float64), t)


def _root(h: tf.Tensor, eps: float, placement: str) -> tf.Tensor:
    return tf.sqrt(h + eps) if placement == "inside" else tf.sqrt(h) + eps


def _trust(above: tf.Tensor, below: tf.Tensor) -> tf.Tensor:
    """above/below, or 1 where either is 0."""
    return tf.where((above != 0) & (below != 0), above / below, tf.ones_like(above))


def _rms(values: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(tf.square(values)))


def _dot(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    return tf.tensordot(left, right, 1)
