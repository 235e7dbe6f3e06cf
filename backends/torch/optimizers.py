"""Optimizers: where each comes from, and ``torch.optim`` where it computes the formula or ships one of that name."""

import math
from types import UnionType
from typing import Any

import torch

from backends.torch import layers
from harness.backend import Origin
from harness.spec.cell import Cell
from harness.spec.layers import Conv2D, Embedding, Position
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
from harness.spec.problem import Network, Problem
from harness.spec.recipe import Decay, Decoupled
from harness.spec.schedules import Constant


def origin(cell: Cell) -> Origin:
    """Where the update comes from, and in ``shipped`` how its formula is another."""
    recipe, exact = cell.recipe, cell.implementation == "exact"
    spec, constant = recipe.optimizer, isinstance(recipe.schedule, Constant)
    match spec:
        case SGD():
            return Origin("native", "torch.optim.SGD")
        case Momentum():
            return _momentum(spec, exact, constant)
        case AdaGrad(eps_placement="inside"):
            return _unless(exact, "torch.optim.Adagrad", "adagrad", "it adds ε outside the root")
        case AdaGrad():
            return Origin("native", "torch.optim.Adagrad")
        case RMSProp():
            return _rmsprop(spec, exact, constant)
        case Adam(eps_placement="outside", amsgrad="no" | "raw"):
            return Origin("native", "torch.optim.Adam")
        case Adam(amsgrad="corrected"):
            return _unless(exact, "torch.optim.Adam", "adam", "its AMSGrad takes the maximum of the raw v")
        case Adam():
            return _unless(exact, "torch.optim.Adam", "adam", "it adds ε outside the root")
        case Adadelta():
            return Origin("native", "torch.optim.Adadelta")
        case Adamax(eps_placement="inside"):
            return Origin("native", "torch.optim.Adamax")
        case Adamax():
            return _unless(exact, "torch.optim.Adamax", "adamax", "it adds ε to |g|")
        case NAdam(momentum="constant"):
            return Origin("native", "torch.optim.NAdam(momentum_decay=inf)")
        case NAdam():
            return Origin("native", "torch.optim.NAdam")
        case RAdam(eps_placement="hat", threshold=5.0):
            return Origin("native", "torch.optim.RAdam")
        case RAdam():
            return _unless(exact, "torch.optim.RAdam", "radam", "it adds ε̂ to √v, and rectifies where ρₜ > 5")
        case Adafactor():
            return _adafactor(spec, exact, _has(cell.problem, Conv2D))
        case Muon():
            difference = _of_muon(spec, _has(cell.problem, Embedding | Position))
            return _unless(exact, "torch.optim.Muon, Adam", "muon", difference)
        case Rprop():
            return _rprop(spec, exact, constant)
        case LBFGS():
            return _lbfgs(spec, exact, recipe.decay)
        case Lion() | LARS() | LAMB() | Yogi() | AdaBelief() | Adan() | ScheduleFree():
            return Origin("composed", spec.spelling(), "torch.optim has none")


def _unless(exact: bool, native: str, formula: str, difference: str) -> Origin:
    if exact:
        return Origin("composed", formula, f"{native}: {difference}")
    return Origin("native", native, difference)


def _momentum(spec: Momentum, exact: bool, constant: bool) -> Origin:
    match spec:
        case Momentum(momentum=0, nesterov=True):
            return Origin("composed", "momentum", "torch.optim.SGD refuses nesterov with momentum 0")
        case Momentum(first="damped"):
            return Origin("composed", "momentum", "torch.optim.SGD does not damp the first step")
        case Momentum(momentum=0, dampening=dampening) if dampening:
            return _unless(exact, "torch.optim.SGD", "momentum", "it damps nothing where momentum is 0")
        case Momentum(rate="inside") if not constant:
            return _unless(exact, "torch.optim.SGD", "momentum", "it keeps the rate outside the buffer")
        case _:
            return Origin("native", "torch.optim.SGD")


def _rmsprop(spec: RMSProp, exact: bool, constant: bool) -> Origin:
    match spec:
        case RMSProp(bias_correction=True):
            return Origin("composed", "rmsprop", "torch.optim.RMSprop corrects no bias")
        case RMSProp(eps_placement="inside"):
            return _unless(exact, "torch.optim.RMSprop", "rmsprop", "it adds ε outside the root")
        case RMSProp(rate="inside", momentum=momentum) if momentum and not constant:
            return _unless(exact, "torch.optim.RMSprop", "rmsprop", "it keeps the rate outside the buffer")
        case _:
            return Origin("native", "torch.optim.RMSprop")


def _has(problem: Problem, kinds: type | UnionType) -> bool:
    return isinstance(problem, Network) and any(isinstance(layer, kinds) for layer in layers.nested(problem.model))


def _adafactor(spec: Adafactor, exact: bool, convolves: bool) -> Origin:
    name = "torch.optim.Adafactor"
    match spec:
        case Adafactor(clip=d) if d < 1:
            return Origin("composed", "adafactor", f"{name} refuses a clip below 1")
        case Adafactor(rate="plain"):
            return _unless(exact, name, "adafactor", "it caps the rate at 1/√t")
        case Adafactor(relative=False):
            return _unless(exact, name, "adafactor", "its rate is relative to rms(w)")
        case Adafactor(factored=False):
            return _unless(exact, name, "adafactor", "it factors every matrix")
        case Adafactor(eps1=eps1) if eps1:
            return _unless(exact, name, "adafactor", "it keeps V above ε₁² in place of adding ε₁ to g²")
        case Adafactor() if convolves:
            return _unless(exact, name, "adafactor", "it factors a convolution's weight over height and width")
        case _:
            return Origin("native", name)


def _of_muon(spec: Muon, looks_up: bool) -> str:
    differences = ["its Newton-Schulz is in bfloat16, from M/max(‖M‖, ε)"]
    if spec.buffer == "corrected":
        differences.append("its mean is not corrected")
    if spec.scale == "none":
        differences.append("it scales by √max(1, outputs/inputs)")
    if looks_up and spec.scale != "rms":
        differences.append("it takes an embedding's or a position's rows for outputs")
    return ", ".join(differences)


def _rprop(spec: Rprop, exact: bool, constant: bool) -> Origin:
    match spec:
        case Rprop(grow=1):
            return Origin("composed", "rprop", "torch.optim.Rprop refuses not to grow")
        case Rprop(lr=lr, smallest=smallest, largest=largest) if not smallest <= lr <= largest:
            return _unless(exact, "torch.optim.Rprop", "rprop", "its bounds hold from the first step")
        case Rprop() if not constant:
            return _unless(exact, "torch.optim.Rprop", "rprop", "it takes the rate for its first step only")
        case _:
            return Origin("native", "torch.optim.Rprop")


def _lbfgs(spec: LBFGS, exact: bool, decay: Decay) -> Origin:
    name = "torch.optim.LBFGS(max_iter=1)"
    differences = []
    if isinstance(decay, Decoupled):
        differences.append("its s leaves out the decay")
    if spec.first != "l1":
        differences.append("it scales its first step by 1/‖g‖₁")
    if spec.curvature != 1e-10:
        differences.append("it leaves out pairs with sᵀy ≤ 1e-10")
    if exact and not differences:
        return Origin("native", name)
    # Its tolerances, which ``exact`` takes away: see OneIteration.
    stays = [] if exact else ["it stays where max|g| ≤ 1e-7 or gᵀHg < 1e-9"]
    return _unless(exact, name, "lbfgs", ", ".join(stays + differences))


def native(
    spec: Optimizer, groups: list[dict[str, Any]], exact: bool, decoupled: bool
) -> tuple[torch.optim.Optimizer, ...]:
    """The framework's own optimizer with the spec's words, or two of them that share the parameters.

    ``groups`` carry their ``weight_decay``; ``decoupled`` says of which kind it is.
    """
    match spec:
        case SGD(lr=lr):
            return (torch.optim.SGD(groups, lr=lr),)
        case Momentum(lr=lr, momentum=momentum, dampening=dampening, nesterov=nesterov):
            return (torch.optim.SGD(groups, lr=lr, momentum=momentum, dampening=dampening, nesterov=nesterov),)
        case AdaGrad(lr=lr, eps=eps, initial_accumulator=initial):
            return (torch.optim.Adagrad(groups, lr=lr, eps=eps, initial_accumulator_value=initial),)
        case RMSProp(lr=lr, beta=beta, eps=eps, centred=centred, momentum=momentum):
            return (torch.optim.RMSprop(groups, lr=lr, alpha=beta, eps=eps, centered=centred, momentum=momentum),)
        case Adam(lr=lr, beta1=beta1, beta2=beta2, eps=eps, amsgrad=amsgrad):
            kind = torch.optim.AdamW if decoupled else torch.optim.Adam
            return (kind(groups, lr=lr, betas=(beta1, beta2), eps=eps, amsgrad=amsgrad != "no"),)
        case Adadelta(lr=lr, rho=rho, eps=eps):
            return (torch.optim.Adadelta(groups, lr=lr, rho=rho, eps=eps),)
        case Adamax(lr=lr, beta1=beta1, beta2=beta2, eps=eps):
            return (torch.optim.Adamax(groups, lr=lr, betas=(beta1, beta2), eps=eps),)
        case NAdam():
            return (_nadam(spec, groups, decoupled),)
        case RAdam(lr=lr, beta1=beta1, beta2=beta2, eps=eps):
            betas = (beta1, beta2)
            return (torch.optim.RAdam(groups, lr=lr, betas=betas, eps=eps, decoupled_weight_decay=decoupled),)
        case Adafactor(lr=lr, beta2_decay=c, eps1=eps1, eps2=eps2, clip=d):
            return (torch.optim.Adafactor(groups, lr=lr, beta2_decay=-c, eps=(eps1, eps2), d=d),)
        case Muon():
            return _muon(spec, groups, exact, decoupled)
        case Rprop(lr=lr, shrink=shrink, grow=grow, smallest=smallest, largest=largest):
            return (torch.optim.Rprop(groups, lr=lr, etas=(shrink, grow), step_sizes=(smallest, largest)),)
        case LBFGS(lr=lr, memory=memory):
            return (OneIteration(groups, lr, memory, exact),)
        case Lion() | LARS() | LAMB() | Yogi() | AdaBelief() | Adan() | ScheduleFree():
            raise TypeError(f"torch.optim has no {spec.spelling()}")


def _nadam(spec: NAdam, groups: list[dict[str, Any]], decoupled: bool) -> torch.optim.Optimizer:
    """μₜ = β₁(1 − ½·0.96^(tψ)) is β₁ for ψ = ∞."""
    return torch.optim.NAdam(
        groups,
        lr=spec.lr,
        betas=(spec.beta1, spec.beta2),
        eps=spec.eps,
        momentum_decay=spec.momentum_decay if spec.momentum == "scheduled" else math.inf,
        decoupled_weight_decay=decoupled,
    )


def _muon(spec: Muon, groups: list[dict[str, Any]], exact: bool, decoupled: bool) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices, Adam for the rest, as its documentation says."""
    matrices, rest = ([_only(group, two) for group in groups] for two in (True, False))
    matrices, rest = ([group for group in kind if group["params"]] for kind in (matrices, rest))
    made: list[torch.optim.Optimizer] = []
    if matrices:
        muon = torch.optim.Muon(
            matrices,
            lr=spec.lr,
            momentum=spec.momentum,
            nesterov=spec.nesterov,
            eps=spec.eps,
            ns_steps=spec.iterations,
            adjust_lr_fn="match_rms_adamw" if spec.scale == "rms" else "original",
        )
        made.append(muon)
    if rest:
        beside = Adam(spec.lr, spec.beta1, spec.beta2, spec.adam_eps)
        made.extend(native(beside, rest, exact, decoupled))
    return tuple(made)


def _only(group: dict[str, Any], matrices: bool) -> dict[str, Any]:
    return group | {"params": [w for w in group["params"] if (w.dim() == 2) == matrices]}


class OneIteration(torch.optim.LBFGS):
    """One update a step, with torch's tolerances or, ``exact``, none: where it stays, it also forgets a pair.

    The loss, which a step asks for, is of use to a line search or a second iteration only.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, memory: int, exact: bool) -> None:
        # Below 0: at 0 it would still stay where g = 0.
        small, change = (-math.inf, -math.inf) if exact else (1e-7, 1e-9)
        super().__init__(groups, lr, 1, tolerance_grad=small, tolerance_change=change, history_size=memory)

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one update from the gradients that are there."""
        super().step(lambda: 0.0)  # type: ignore[no-untyped-call]


def rescale(optimizer: torch.optim.Optimizer, spec: Optimizer, ratio: float) -> None:
    """What the state of torch's own optimizer must follow where η changes by ``ratio`` and the formula says so.

    Torch's momentum buffer is the formula's, which holds the rate, over η; Rprop's steps and bounds are its, times η.
    """
    match spec:
        case Momentum(rate="inside") | RMSProp(rate="inside"):
            buffers = [state["momentum_buffer"] for state in optimizer.state.values() if "momentum_buffer" in state]
            for v in buffers:
                v.div_(ratio)
        case Rprop():
            for state in optimizer.state.values():
                state["step_size"].mul_(ratio)
            for group in optimizer.param_groups:
                group["step_sizes"] = tuple(bound * ratio for bound in group["step_sizes"])
        case _:
            pass
