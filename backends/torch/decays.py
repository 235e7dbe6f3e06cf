"""Weight decay: torch's own ``weight_decay`` where it means the same, else composed around the step."""

from typing import Any

import torch
from torch import nn

from backends.torch import optimizers
from harness.backend import Origin
from harness.spec.optimizers import Adam
from harness.spec.recipe import Coupled, Decay, Decoupled, NoDecay, Recipe


def origin(recipe: Recipe, exact: bool) -> Origin:
    """Where the decay comes from."""
    match recipe.decay:
        case NoDecay():
            return Origin("native", "nothing")
        case Decoupled(scaled_by="schedule"):
            return Origin("composed", "w − Δ − factor(t)λw", "torch's decoupled decay is scaled by the rate")
        case decay if is_native(recipe, exact):
            return Origin("native", "weight_decay" if isinstance(decay, Coupled) else "torch.optim.AdamW")
        case Coupled():
            return Origin("composed", "g + λw", "the optimizer is composed")
        case Decoupled():
            return Origin("composed", "w − Δ − ηλw", "torch decouples decay in AdamW only")


def is_native(recipe: Recipe, exact: bool) -> bool:
    """Whether torch's optimizer applies this decay itself."""
    if optimizers.origin(recipe, exact).how != "native":
        return False
    match recipe.decay:
        case Coupled():
            return True
        case Decoupled(scaled_by="rate"):
            return isinstance(recipe.optimizer, Adam)
        case _:
            return False


def groups(decay: Decay, parameters: list[nn.Parameter], decayed: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Parameter groups for ``torch.optim``: those that decay, and the rest."""
    rate = 0.0 if isinstance(decay, NoDecay) else decay.rate
    among = {id(w) for w in decayed}
    rest = [w for w in parameters if id(w) not in among]
    both = [{"params": decayed, "weight_decay": rate}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in both if group["params"]]


@torch.no_grad()
def apply(decay: Decay, on: list[nn.Parameter], eta: float, lr: float) -> None:
    """The decay that torch's optimizer does not do; before its step, since Δ does not depend on w."""
    match decay:
        case Coupled(rate=rate):
            for w in on:
                if w.grad is not None:
                    w.grad.add_(w, alpha=rate)
        case Decoupled(rate=rate, scaled_by=scaled_by):
            amount = rate * (eta if scaled_by == "rate" else eta / lr)
            for w in on:
                w.mul_(1 - amount)
        case NoDecay():
            pass
