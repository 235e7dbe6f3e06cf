"""Optimizers composed from torch's primitives: what ``torch.optim`` has not, or has with another formula."""

import functools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from backends.torch import layers
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
)

State = dict[str, Tensor]


class At(NamedTuple):
    """One tensor at one step, in the canonical layout."""

    g: Tensor
    w: Tensor
    eta: float
    t: int  # 1, 2, …
    decay: float  # λ of a decoupled decay that belongs inside the formula


class Composed(torch.optim.Optimizer):
    """Δ from g, w, the state and the rate, for each parameter or for all in one vector.

    ``groups`` carry as their ``weight_decay`` the λ that belongs inside the formula.
    """

    def __init__(self, spec: Optimizer, groups: list[dict[str, Any]], named: dict[str, nn.Parameter]) -> None:
        super().__init__(groups, {"lr": spec.lr})
        self.spec = spec
        self.names = {w: name for name, w in named.items()}
        self.t = 0

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one update."""
        self.t += 1
        if isinstance(self.spec, LBFGS):
            self._step_as_one(self.spec)
            return
        for group in self.param_groups:
            eta, decay = group["lr"], group["weight_decay"]
            for w in group["params"]:
                canonical = layers.to_canonical(self.names[w], w)
                at = At(layers.to_canonical(self.names[w], w.grad), canonical, eta, self.t, decay)
                state = self.state[w]
                if not state:
                    state.update(initial(self.spec, canonical))
                canonical.sub_(delta(self.spec, at, state))

    def _step_as_one(self, spec: LBFGS) -> None:
        rates = {w: group["weight_decay"] for group in self.param_groups for w in group["params"]}
        parameters, eta = list(rates), self.param_groups[0]["lr"]
        g = torch.cat([w.grad.flatten() for w in parameters if w.grad is not None])
        decay = torch.cat([rate * w.flatten() for w, rate in rates.items()])
        whole = lbfgs(spec, g, decay, eta, self.state[parameters[0]])
        parts = torch.split(whole, [w.numel() for w in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.sub_(part.view_as(parameter))

    def means(self) -> dict[nn.Parameter, Tensor]:
        """x of a schedule-free optimizer, at which it is evaluated, in torch's layout; nothing of the others."""
        seen = {w: self.state[w]["x"] for group in self.param_groups for w in group["params"] if "x" in self.state[w]}
        return {w: layers.from_canonical(self.names[w], x) for w, x in seen.items()}


def initial(spec: Optimizer, w: Tensor) -> State:
    """The state before the first step of a tensor that starts at w."""

    def zeros(*names: str) -> State:
        return {name: torch.zeros_like(w) for name in names}

    match spec:
        case Momentum() | LARS():
            return zeros("v")
        case AdaGrad():
            return {"h": torch.full_like(w, spec.initial_accumulator)}
        case RMSProp():
            return zeros("h", "m", "v")
        case Adam():
            return zeros("m", "v", "maximum")
        case Adamax():
            return zeros("m", "u")
        case RAdam() | LAMB():
            return zeros("m", "v")
        case AdaBelief():
            return zeros("m", "s")
        case Lion():
            return zeros("m")
        case Adafactor() if spec.factored and w.dim() >= 2:
            return {"rows": torch.zeros_like(w[..., :1]), "columns": torch.zeros_like(w[..., :1, :])}
        case Adafactor():
            return zeros("v")
        case Muon():
            return zeros("b") if w.dim() == 2 else zeros("m", "v", "maximum")
        case Rprop():
            return zeros("g") | {"s": torch.full_like(w, spec.lr)}
        case Yogi():
            return {name: torch.full_like(w, spec.initial_accumulator) for name in ("m", "v")}
        case Adan():
            return zeros("g", "m", "v", "n")
        case ScheduleFree():
            return zeros("v") | {"z": w.clone(), "x": w.clone(), "squares": torch.zeros((), dtype=torch.float64)}
        case SGD() | Adadelta() | NAdam() | LBFGS():
            return {}


def delta(spec: Optimizer, at: At, state: State) -> Tensor:
    """Δ of any optimizer that torch has not; ``state`` is updated."""
    match spec:
        case Momentum():
            return momentum(spec, at, state)
        case AdaGrad():
            return adagrad(spec, at, state)
        case RMSProp():
            return rmsprop(spec, at, state)
        case Adam():
            return adam(spec, at, state)
        case Adamax():
            return adamax(spec, at, state)
        case RAdam():
            return radam(spec, at, state)
        case Lion():
            return lion(spec, at, state)
        case Adafactor():
            return adafactor(spec, at, state)
        case LARS():
            return lars(spec, at, state)
        case LAMB():
            return lamb(spec, at, state)
        case Muon():
            return muon(spec, at, state)
        case Rprop():
            return rprop(spec, at, state)
        case Yogi():
            return yogi(spec, at, state)
        case AdaBelief():
            return adabelief(spec, at, state)
        case Adan():
            return adan(spec, at, state)
        case ScheduleFree():
            return schedule_free(spec, at, state)
        case LBFGS():
            raise TypeError("lbfgs is one of all tensors together")
        case SGD() | Adadelta() | NAdam():
            raise TypeError(f"{spec.spelling()} is torch's own, whatever its fields")


def momentum(spec: Momentum, at: At, state: State) -> Tensor:
    """v ← μv + (1 − d)g; Δ = ηv, with nesterov Δ = η(g + μv). d = 0 in a plain first step.

    Rate inside: v ← μv + η(1 − d)g; Δ = v, with nesterov Δ = ηg + μv.
    """
    inside, outside = (at.eta, 1.0) if spec.rate == "inside" else (1.0, at.eta)
    damped = 1.0 if at.t == 1 and spec.first == "plain" else 1 - spec.dampening
    v = state["v"].mul_(spec.momentum).add_(at.g, alpha=damped * inside)
    return outside * (inside * at.g + spec.momentum * v if spec.nesterov else v)


def adagrad(spec: AdaGrad, at: At, state: State) -> Tensor:
    """h ← h + g²; Δ = ηg/√(h + ε), or ηg/(√h + ε)."""
    h = state["h"].addcmul_(at.g, at.g)
    return at.eta * at.g / _root(h, spec.eps, spec.eps_placement)


def rmsprop(spec: RMSProp, at: At, state: State) -> Tensor:
    """h ← βh + (1 − β)g²; u = g/√(ĥ + ε), or g/(√ĥ + ε); Δ = ηu, with momentum ηv or, the rate inside, v.

    ĥ = h, or h/(1 − βᵗ) with the bias corrected, or h − m² if centred, m ← βm + (1 − β)g.
    """
    h = state["h"].mul_(spec.beta).addcmul_(at.g, at.g, value=1 - spec.beta)
    if spec.bias_correction:
        h = h / (1 - spec.beta**at.t)
    if spec.centred:
        h = h - state["m"].mul_(spec.beta).add_(at.g, alpha=1 - spec.beta).square()
    u = at.g / _root(h, spec.eps, spec.eps_placement)
    if not spec.momentum:
        return at.eta * u
    inside, outside = (at.eta, 1.0) if spec.rate == "inside" else (1.0, at.eta)
    return outside * state["v"].mul_(spec.momentum).add_(u, alpha=inside)


def adam(spec: Adam, at: At, state: State) -> Tensor:
    """Δ = ηm̂/(√v̂ + ε), or ηm̂/√(v̂ + ε); ε-hat is ε/√(1 − β₂ᵗ). AMSGrad: the greatest v so far, or v̂."""
    c1, c2 = 1 - spec.beta1**at.t, 1 - spec.beta2**at.t
    m, v = _moments(spec, at.g, state)
    match spec.amsgrad:
        case "no":
            v_hat = v / c2
        case "raw":
            v_hat = torch.maximum(state["maximum"], v, out=state["maximum"]) / c2
        case "corrected":
            v_hat = torch.maximum(state["maximum"], v / c2, out=state["maximum"])
    eps = spec.eps / math.sqrt(c2) if spec.eps_placement == "hat" else spec.eps
    return at.eta * (m / c1) / _root(v_hat, eps, spec.eps_placement)


def adamax(spec: Adamax, at: At, state: State) -> Tensor:
    """m ← β₁m + (1 − β₁)g; u ← max(β₂u, |g| + ε); Δ = η/(1 − β₁ᵗ)·m/u; ε outside: Δ = η/(1 − β₁ᵗ)·m/(u + ε)."""
    within, beside = (spec.eps, 0.0) if spec.eps_placement == "inside" else (0.0, spec.eps)
    m = state["m"].lerp_(at.g, 1 - spec.beta1)
    u = torch.maximum(spec.beta2 * state["u"], at.g.abs() + within, out=state["u"])
    return at.eta / (1 - spec.beta1**at.t) * m / (u + beside)


def radam(spec: RAdam, at: At, state: State) -> Tensor:
    """Δ = ηrₜm̂/(√v̂ + ε) where ρₜ > threshold, else ηm̂; ε-hat is ε/√(1 − β₂ᵗ).

    ρ∞ = 2/(1 − β₂) − 1; ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ); rₜ² = (ρₜ − 4)(ρₜ − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρₜ).
    """
    m, v = _moments(spec, at.g, state)
    m_hat, c2 = m / (1 - spec.beta1**at.t), 1 - spec.beta2**at.t
    limit = 2 / (1 - spec.beta2) - 1
    rho = limit - 2 * at.t * spec.beta2**at.t / c2
    if rho <= spec.threshold:
        return at.eta * m_hat
    r = math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
    eps = spec.eps / math.sqrt(c2) if spec.eps_placement == "hat" else spec.eps
    return at.eta * r * m_hat / ((v / c2).sqrt() + eps)


def lion(spec: Lion, at: At, state: State) -> Tensor:
    """Δ = η sign(β₁m + (1 − β₁)g); m ← β₂m + (1 − β₂)g."""
    m = state["m"]
    u = m.mul(spec.beta1).add_(at.g, alpha=1 - spec.beta1).sign_()
    m.mul_(spec.beta2).add_(at.g, alpha=1 - spec.beta2)
    return at.eta * u


def adafactor(spec: Adafactor, at: At, state: State) -> Tensor:
    """β̂ = 1 − t^(−c); V ← β̂V + (1 − β̂)(g² + ε₁), or RC/mean(R) of its means R over the last axis, C the one before.

    u = g/√V; Δ = α·u/max(1, rms(u)/d); α = max(ε₂, rms(w))·ρ or ρ; ρ = min(η, 1/√t) or η.
    """
    fresh, square = at.t**-spec.beta2_decay, at.g.square() + spec.eps1
    if "rows" in state:
        rows = state["rows"].lerp_(square.mean(-1, keepdim=True), fresh)
        columns = state["columns"].lerp_(square.mean(-2, keepdim=True), fresh)
        # Factor by factor: where both are near ε₁, float32 cannot hold their product.
        u = at.g * (rows / rows.mean(-2, keepdim=True)).rsqrt() * columns.rsqrt()
    else:
        u = at.g * state["v"].lerp_(square, fresh).rsqrt()
    rho = min(at.eta, 1 / math.sqrt(at.t)) if spec.rate == "capped" else at.eta
    u = u / (_rms(u) / spec.clip).clamp(min=1.0)
    return rho * _rms(at.w).clamp(min=spec.eps2) * u if spec.relative else rho * u


def lars(spec: LARS, at: At, state: State) -> Tensor:
    """κ = c‖w‖/(‖g‖ + λ‖w‖ + ε), or c‖w‖/(‖g + λw‖ + ε); v ← μv + ηκ(g + λw); Δ = v."""
    g, size = at.g.add(at.w, alpha=at.decay), _norm(at.w)
    below = _norm(g) if spec.norm == "joint" else _norm(at.g) + at.decay * size
    kappa = _ratio(spec.trust * size, below + spec.eps)
    return state["v"].mul_(spec.momentum).add_(at.eta * kappa * g)


def lamb(spec: LAMB, at: At, state: State) -> Tensor:
    """u = m̂/(√v̂ + ε) + λw; Δ = η‖w‖/‖u‖·u."""
    m, v = _moments(spec, at.g, state)
    m_hat, v_hat = m / (1 - spec.beta1**at.t), v / (1 - spec.beta2**at.t)
    u = (m_hat / (v_hat.sqrt() + spec.eps)).add_(at.w, alpha=at.decay)
    return at.eta * _ratio(_norm(at.w), _norm(u)) * u


def muon(spec: Muon, at: At, state: State) -> Tensor:
    """B ← μB + g; Δ = ηs·NS(g + μB), in the spec's variants; Adam for what is no matrix."""
    if at.g.dim() != 2:
        return adam(_adam_beside(spec), at, state)
    mu, share = spec.momentum, 1.0 if spec.buffer == "sum" else 1 - spec.momentum
    now, after = (1 - mu**at.t, 1 - mu ** (at.t + 1)) if spec.buffer == "corrected" else (1.0, 1.0)
    b = state["b"].mul_(mu).add_(at.g, alpha=share)
    direction = at.g * (share / now) + b * (mu / after) if spec.nesterov else b / now
    inputs, outputs = at.g.shape
    scale = {"outputs": math.sqrt(max(1, outputs / inputs)), "rms": 0.2 * math.sqrt(max(inputs, outputs)), "none": 1.0}
    return at.eta * scale[spec.scale] * newton_schulz(direction, spec.iterations, spec.eps)


@functools.cache
def _adam_beside(spec: Muon) -> Adam:
    return Adam(spec.lr, spec.beta1, spec.beta2, spec.adam_eps)


def newton_schulz(m: Tensor, iterations: int, eps: float) -> Tensor:
    """X = M/(‖M‖ + ε) towards UVᵀ of M = UΣVᵀ: A = XXᵀ; X ← aX + (bA + cA²)X, with the shorter side first."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = m.shape[0] > m.shape[1]
    x = m.T if tall else m
    x = x / (_norm(x) + eps)
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def rprop(spec: Rprop, at: At, state: State) -> Tensor:
    """s grows where g keeps its sign and shrinks where it changes, where g then counts as 0; Δ = (η/lr)·s·sign(g)."""
    agrees = at.g * state["g"]
    s = torch.where(agrees > 0, spec.grow * state["s"], spec.shrink * state["s"]).clamp_(spec.smallest, spec.largest)
    state["s"] = torch.where(agrees == 0, state["s"], s)
    state["g"] = at.g.masked_fill(agrees < 0, 0.0)
    return at.eta / spec.lr * state["s"] * state["g"].sign()


def yogi(spec: Yogi, at: At, state: State) -> Tensor:
    """v ← v − (1 − β₂)sign(v − g²)g²; Δ = ηm̂/(√v̂ + ε), or ηm/(√v + ε) without the bias correction."""
    square = at.g.square()
    m = state["m"].lerp_(at.g, 1 - spec.beta1)
    v = state["v"].addcmul_((state["v"] - square).sign_(), square, value=spec.beta2 - 1)
    c1, c2 = (1 - spec.beta1**at.t, 1 - spec.beta2**at.t) if spec.bias_correction else (1.0, 1.0)
    return at.eta * (m / c1) / ((v / c2).sqrt() + spec.eps)


def adabelief(spec: AdaBelief, at: At, state: State) -> Tensor:
    """s ← β₂s + (1 − β₂)(g − m)² + ε'; Δ = ηm̂/(√ŝ + ε)."""
    m = state["m"].lerp_(at.g, 1 - spec.beta1)
    error = at.g - m
    s = state["s"].mul_(spec.beta2).addcmul_(error, error, value=1 - spec.beta2).add_(spec.eps_inside)
    m_hat, s_hat = m / (1 - spec.beta1**at.t), s / (1 - spec.beta2**at.t)
    return at.eta * m_hat / (s_hat.sqrt() + spec.eps)


def adan(spec: Adan, at: At, state: State) -> Tensor:
    """d = g − g₋₁; m, v, n ← means of g, d, (g + kd)²; Δ = η(m̂ + kv̂)/(√n̂ + ε); k = β₂ or 1 − β₂."""
    k = spec.beta2 if spec.ahead == "beta2" else 1 - spec.beta2
    d = at.g - state["g"] if at.t > 1 else torch.zeros_like(at.g)
    state["g"] = at.g.clone()  # the gradient's memory is torch's, which fills it again
    ahead = at.g.add(d, alpha=k)
    m = state["m"].lerp_(at.g, 1 - spec.beta1)
    v = state["v"].lerp_(d, 1 - spec.beta2)
    n = state["n"].mul_(spec.beta3).addcmul_(ahead, ahead, value=1 - spec.beta3)
    c1, c2, c3 = (1 - beta**at.t for beta in (spec.beta1, spec.beta2, spec.beta3))
    return at.eta * (m / c1).add_(v, alpha=k / c2) / ((n / c3).sqrt() + spec.eps)


def schedule_free(spec: ScheduleFree, at: At, state: State) -> Tensor:
    """z ← z − η(u + λw); x ← (1 − c)x + cz; the new w is (1 − β)z + βx, and Δ what it is short of the old."""
    u = at.g
    if spec.base == "adam":
        v = state["v"].mul_(spec.beta2).addcmul_(at.g, at.g, value=1 - spec.beta2)
        u = at.g / ((v / (1 - spec.beta2**at.t)).sqrt() + spec.eps)
    z = state["z"].sub_(u.add(at.w, alpha=at.decay), alpha=at.eta)
    squares = float(state["squares"].add_(at.eta**2))
    c = 1 / at.t if spec.weights == "equal" else at.eta**2 / (squares or 1.0)
    x = state["x"].lerp_(z, c)
    return at.w - torch.lerp(z, x, spec.beta)


def lbfgs(spec: LBFGS, g: Tensor, decay: Tensor, eta: float, state: dict[str, Any]) -> Tensor:
    """Δ = η(Hg + λw) over all tensors in one vector, H by two loops over the pairs (s, y), oldest first.

    s = −Δ₋₁, y = g − g₋₁; ``decay`` is λw.
    """
    if "g" in state:
        s, y = state["s"], g - state["g"]
        if s.dot(y) > spec.curvature:
            state["pairs"] = [*state["pairs"], (s, y)][-spec.memory :]
        u = _two_loops(state["pairs"], g)
    else:
        state["pairs"] = []
        u = _first(spec, g) * g
    step = eta * (u + decay)
    state["s"], state["g"] = -step, g
    return step


def _first(spec: LBFGS, g: Tensor) -> Tensor | float:
    """min(1, 1/‖g‖₁), min(1, 1/‖g‖₂) or 1."""
    return 1.0 if spec.first == "plain" else (1 / _norm(g, 1 if spec.first == "l1" else 2)).clamp(max=1.0)


def _two_loops(pairs: list[tuple[Tensor, Tensor]], g: Tensor) -> Tensor:
    """Hg, with H₀ = γI, γ = sᵀy/yᵀy of the newest pair, or 1 (Nocedal & Wright 2006, algorithm 7.4)."""
    q, weights = g.clone(), []
    for s, y in reversed(pairs):
        weights.append(s.dot(q) / s.dot(y))
        q -= weights[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= s.dot(y) / y.dot(y)
    for (s, y), a in zip(pairs, reversed(weights), strict=True):
        q += (a - y.dot(q) / s.dot(y)) * s
    return q


def _moments(spec: Adam | RAdam | LAMB, g: Tensor, state: State) -> tuple[Tensor, Tensor]:
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²."""
    return (
        state["m"].lerp_(g, 1 - spec.beta1),
        state["v"].mul_(spec.beta2).addcmul_(g, g, value=1 - spec.beta2),
    )


def _root(h: Tensor, eps: float, placement: str) -> Tensor:
    return (h + eps).sqrt() if placement == "inside" else h.sqrt() + eps


def _norm(w: Tensor, order: int = 2) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(w, order)
    return norm


def _rms(w: Tensor) -> Tensor:
    return w.square().mean().sqrt()


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """above/below, or 1 where either is 0, without waiting for the device."""
    return torch.where((above == 0) | (below == 0), 1.0, above / below)
