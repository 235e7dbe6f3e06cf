"""Optimizers: ``torch.optim`` where it computes the formula, else composed here from torch's primitives."""

from typing import Any

import torch
from torch import Tensor, nn

from harness.backend import Origin
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, Optimizer, RMSProp
from harness.spec.recipe import Recipe
from harness.spec.schedules import Constant

State = dict[str, Tensor]


def origin(recipe: Recipe, exact: bool) -> Origin:
    """Where the update comes from, and in ``shipped`` how its formula is another."""
    spec, constant = recipe.optimizer, isinstance(recipe.schedule, Constant)
    match spec:
        case SGD():
            return Origin("native", "torch.optim.SGD")
        case Momentum(momentum=0, nesterov=True):
            return Origin("composed", "momentum", "torch.optim.SGD refuses nesterov with momentum 0")
        case Momentum(first="damped"):
            return Origin("composed", "momentum", "torch.optim.SGD does not damp the first step")
        case Momentum(momentum=0, dampening=dampening) if dampening:
            return _unless(exact, "torch.optim.SGD", "momentum", "it damps nothing where momentum is 0")
        case Momentum(rate="inside") if not constant:
            return _unless(exact, "torch.optim.SGD", "momentum", "it keeps the rate outside the buffer")
        case Momentum():
            return Origin("native", "torch.optim.SGD")
        case AdaGrad(eps_placement="inside"):
            return _unless(exact, "torch.optim.Adagrad", "adagrad", "it adds ε outside the root")
        case AdaGrad():
            return Origin("native", "torch.optim.Adagrad")
        case RMSProp(bias_correction=True):
            return Origin("composed", "rmsprop", "torch.optim.RMSprop corrects no bias")
        case RMSProp(eps_placement="inside"):
            return _unless(exact, "torch.optim.RMSprop", "rmsprop", "it adds ε outside the root")
        case RMSProp(rate="inside", momentum=momentum) if momentum and not constant:
            return _unless(exact, "torch.optim.RMSprop", "rmsprop", "it keeps the rate outside the buffer")
        case RMSProp():
            return Origin("native", "torch.optim.RMSprop")
        case Adam(eps_placement="outside", amsgrad="no" | "raw"):
            return Origin("native", "torch.optim.Adam")
        case Adam(amsgrad="corrected"):
            return _unless(exact, "torch.optim.Adam", "adam", "its AMSGrad takes the maximum of the raw v")
        case Adam():
            return _unless(exact, "torch.optim.Adam", "adam", "it adds ε outside the root")


def _unless(exact: bool, native: str, formula: str, difference: str) -> Origin:
    if exact:
        return Origin("composed", formula, f"{native}: {difference}")
    return Origin("native", native, difference)


def native(spec: Optimizer, groups: list[dict[str, Any]], decoupled: bool) -> torch.optim.Optimizer:
    """The framework's own optimizer with the spec's words. ``groups`` carry their ``weight_decay``."""
    match spec:
        case SGD(lr=lr):
            return torch.optim.SGD(groups, lr=lr)
        case Momentum(lr=lr, momentum=momentum, dampening=dampening, nesterov=nesterov):
            return torch.optim.SGD(groups, lr=lr, momentum=momentum, dampening=dampening, nesterov=nesterov)
        case AdaGrad(lr=lr, eps=eps, initial_accumulator=initial):
            return torch.optim.Adagrad(groups, lr=lr, eps=eps, initial_accumulator_value=initial)
        case RMSProp(lr=lr, beta=beta, eps=eps, centred=centred, momentum=momentum):
            return torch.optim.RMSprop(groups, lr=lr, alpha=beta, eps=eps, centered=centred, momentum=momentum)
        case Adam(lr=lr, beta1=beta1, beta2=beta2, eps=eps, amsgrad=amsgrad):
            kind = torch.optim.AdamW if decoupled else torch.optim.Adam
            return kind(groups, lr=lr, betas=(beta1, beta2), eps=eps, amsgrad=amsgrad != "no")


class Composed(torch.optim.Optimizer):
    """An optimizer built from torch's primitives: Δ from g, its state and the rate, for each parameter."""

    def __init__(self, spec: Optimizer, parameters: list[nn.Parameter]) -> None:
        super().__init__(parameters, {"lr": spec.lr})
        self.spec = spec
        self.t = 0

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one update."""
        self.t += 1
        for group in self.param_groups:
            for w in group["params"]:
                w.sub_(delta(self.spec, w.grad, self.state[w], group["lr"], self.t))


def delta(spec: Optimizer, g: Tensor, state: State, eta: float, t: int) -> Tensor:
    """Δ of any optimizer at step ``t`` = 1, 2, …; ``state`` is empty at first and is updated."""
    match spec:
        case SGD():
            return eta * g
        case Momentum():
            return momentum(spec, g, state, eta)
        case AdaGrad():
            return adagrad(spec, g, state, eta)
        case RMSProp():
            return rmsprop(spec, g, state, eta, t)
        case Adam():
            return adam(spec, g, state, eta, t)


def momentum(spec: Momentum, g: Tensor, state: State, eta: float) -> Tensor:
    """Δ of ``Momentum``."""
    inside = eta if spec.rate == "inside" else 1.0
    outside = 1.0 if spec.rate == "inside" else eta
    damped = 1 - spec.dampening if "v" in state or spec.first == "damped" else 1.0
    v = state.get("v", torch.zeros_like(g)).mul(spec.momentum).add(g, alpha=damped * inside)
    state["v"] = v
    return outside * (inside * g + spec.momentum * v if spec.nesterov else v)


def adagrad(spec: AdaGrad, g: Tensor, state: State, eta: float) -> Tensor:
    """Δ of ``AdaGrad``."""
    h = state.get("h", torch.full_like(g, spec.initial_accumulator)).addcmul(g, g)
    state["h"] = h
    return eta * g / _root(h, spec.eps, spec.eps_placement)


def rmsprop(spec: RMSProp, g: Tensor, state: State, eta: float, t: int) -> Tensor:
    """Δ of ``RMSProp``."""
    beta, correction = spec.beta, 1 - spec.beta**t if spec.bias_correction else 1.0
    state["h"] = h = state.get("h", torch.zeros_like(g)).mul(beta).addcmul(g, g, value=1 - beta)
    h = h / correction
    if spec.centred:
        state["m"] = m = state.get("m", torch.zeros_like(g)).mul(beta).add(g, alpha=1 - beta)
        h = h - (m / correction).square()
    u = g / _root(h, spec.eps, spec.eps_placement)
    if not spec.momentum:
        return eta * u
    inside = eta if spec.rate == "inside" else 1.0
    outside = 1.0 if spec.rate == "inside" else eta
    state["v"] = v = state.get("v", torch.zeros_like(g)).mul(spec.momentum).add(u, alpha=inside)
    return outside * v


def adam(spec: Adam, g: Tensor, state: State, eta: float, t: int) -> Tensor:
    """Δ of ``Adam``."""
    zero = torch.zeros_like(g)
    state["m"] = m = state.get("m", zero).lerp(g, 1 - spec.beta1)
    state["v"] = v = state.get("v", zero).mul(spec.beta2).addcmul(g, g, value=1 - spec.beta2)
    c1, c2 = 1 - spec.beta1**t, 1 - spec.beta2**t
    match spec.amsgrad:
        case "no":
            v_hat = v / c2
        case "raw":
            state["max"] = torch.maximum(state.get("max", zero), v)
            v_hat = state["max"] / c2
        case "corrected":
            v_hat = state["max"] = torch.maximum(state.get("max", zero), v / c2)
    eps = spec.eps / float(c2) ** 0.5 if spec.eps_placement == "hat" else spec.eps
    return eta * (m / c1) / _root(v_hat, eps, spec.eps_placement)


def _root(h: Tensor, eps: float, placement: str) -> Tensor:
    return (h + eps).sqrt() if placement == "inside" else h.sqrt() + eps
