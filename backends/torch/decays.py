"""Weight decay: torch's own ``weight_decay`` where it means the same, else composed around the step or inside it."""

from typing import Any

from torch import nn

from backends.torch import optimizers
from harness.backend import Origin
from harness.spec.cell import Cell
from harness.spec.optimizers import (
    SGD,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    Momentum,
    Muon,
    NAdam,
    RAdam,
    RMSProp,
    decays_inside,
)
from harness.spec.recipe import Coupled, Decoupled, NoDecay, Recipe

# Whose weight_decay is coupled, and who can decouple it.
COUPLING = SGD | Momentum | AdaGrad | RMSProp | Adam | Adadelta | Adamax | NAdam | RAdam
DECOUPLING = Adam | NAdam | RAdam | Adafactor | Muon


def origin(cell: Cell) -> Origin:
    """Where the decay comes from."""
    recipe = cell.recipe
    match recipe.decay:
        case NoDecay():
            return Origin("native", "nothing")
        case Decoupled() if is_inside(cell):
            return Origin("composed", "λw inside the formula", "the optimizer is composed")
        case Decoupled(scaled_by="schedule"):
            return Origin("composed", "w − Δ − factor(t)λw", "torch's decoupled decay is scaled by the rate")
        case Coupled() if is_native(cell):
            return Origin("native", "weight_decay")
        case Decoupled() if is_native(cell):
            return Origin("native", _decoupled(recipe))
        case Coupled():
            return Origin("composed", "g + λw", _why(cell, "couples"))
        case Decoupled():
            return Origin("composed", "w − Δ − ηλw", _why(cell, "decouples"))


def _decoupled(recipe: Recipe) -> str:
    match recipe.optimizer:
        case Adam():
            return "torch.optim.AdamW"
        case Muon():
            return "weight_decay, torch.optim.AdamW"
        case Adafactor():
            return "weight_decay"
        case _:
            return "decoupled_weight_decay"


def _why(cell: Cell, verb: str) -> str:
    made = optimizers.origin(cell)
    return "the optimizer is composed" if made.how == "composed" else f"{made.by} {verb} no decay"


def is_native(cell: Cell) -> bool:
    """Whether torch's optimizer applies this decay itself."""
    recipe = cell.recipe
    if optimizers.origin(cell).how != "native":
        return False
    match recipe.decay:
        case Coupled():
            return isinstance(recipe.optimizer, COUPLING)
        case Decoupled(scaled_by="rate"):
            return isinstance(recipe.optimizer, DECOUPLING)
        case _:
            return False


def is_inside(cell: Cell) -> bool:
    """Whether a composed formula takes the decay itself."""
    recipe = cell.recipe
    composed = optimizers.origin(cell).how == "composed"
    return isinstance(recipe.decay, Decoupled) and decays_inside(recipe.optimizer) and composed


def groups(recipe: Recipe, parameters: list[nn.Parameter], decayed: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Parameter groups for ``torch.optim``: those that the optimizer itself decays, and the rest."""
    among = {id(w) for w in decayed}
    rest = [w for w in parameters if id(w) not in among]
    both = [{"params": decayed, "weight_decay": _rate(recipe)}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in both if group["params"]]


def _rate(recipe: Recipe) -> float:
    """λ as a formula takes it that multiplies it by η: λ/lr where the schedule alone scales the decay."""
    match recipe.decay:
        case NoDecay():
            return 0.0
        case Decoupled(rate=rate, scaled_by="schedule"):
            return rate / recipe.optimizer.lr
        case Coupled(rate=rate) | Decoupled(rate=rate):
            return rate
