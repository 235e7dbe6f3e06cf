"""Optimizers composed from torch's primitives: what ``torch.optim`` has not, or has with another formula."""

from typing import Any

import torch
from torch import Tensor, nn

from backends.torch import layers
from backends.torch.composed import directions, iterates, moments, muon, squares, tensors
from backends.torch.composed.step import At, State
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
        whole = iterates.lbfgs(spec, g, decay, eta, self.state[parameters[0]])
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
            return directions.momentum(spec, at, state)
        case AdaGrad():
            return squares.adagrad(spec, at, state)
        case RMSProp():
            return squares.rmsprop(spec, at, state)
        case Adam():
            return moments.adam(spec, at, state)
        case Adamax():
            return moments.adamax(spec, at, state)
        case RAdam():
            return moments.radam(spec, at, state)
        case Lion():
            return directions.lion(spec, at, state)
        case Adafactor():
            return tensors.adafactor(spec, at, state)
        case LARS():
            return tensors.lars(spec, at, state)
        case LAMB():
            return tensors.lamb(spec, at, state)
        case Muon():
            return muon.muon(spec, at, state)
        case Rprop():
            return directions.rprop(spec, at, state)
        case Yogi():
            return moments.yogi(spec, at, state)
        case AdaBelief():
            return moments.adabelief(spec, at, state)
        case Adan():
            return moments.adan(spec, at, state)
        case ScheduleFree():
            return iterates.schedule_free(spec, at, state)
        case LBFGS():
            raise TypeError("lbfgs is one of all tensors together")
        case SGD() | Adadelta() | NAdam():
            raise TypeError(f"{spec.spelling()} is torch's own, whatever its fields")
