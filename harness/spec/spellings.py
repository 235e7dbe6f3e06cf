"""The names that people use for recipes, and the pieces that they stand for; and back."""

from collections.abc import Callable
from typing import Any

import msgspec

from harness.errors import InvalidInput, unknown
from harness.spec.base import Spec
from harness.spec.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam, Momentum, Optimizer, RMSProp
from harness.spec.recipe import Decay, Decoupled, NoDecay, Recipe


def averaged_momentum(lr: float = 0.01, momentum: float = 0.9) -> Momentum:
    """v ← μv + (1 − μ)g; w ← w − ηv: some texts' momentum. Its η is 1/(1 − μ) that of heavy ball."""
    return Momentum(lr=lr, momentum=momentum, dampening=momentum, first="damped")


def nesterov(lr: float = 0.01, momentum: float = 0.9, **fields: Any) -> Momentum:
    """Momentum with the look-ahead."""
    return Momentum(lr=lr, momentum=momentum, nesterov=True, **fields)


def amsgrad(lr: float = 0.001, amsgrad: str = "raw", **fields: Any) -> Adam:
    """Adam with the running maximum of v."""
    return Adam(lr=lr, amsgrad=amsgrad, **fields)  # type: ignore[arg-type]  # checked at construction


def adamw(lr: float = 0.001, weight_decay: float = 0.01, **fields: Any) -> tuple[Adam, Decoupled]:
    """Adam with decoupled decay."""
    return Adam(lr=lr, **fields), Decoupled(rate=weight_decay)


# In the order in which they are listed and reported.
SPELLINGS: dict[str, Callable[..., Optimizer | tuple[Optimizer, Decay]]] = {
    "sgd": SGD,
    "heavy_ball": Momentum,
    "averaged_momentum": averaged_momentum,
    "nesterov": nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
    "amsgrad": amsgrad,
    "adamw": adamw,
}
NINE = tuple(SPELLINGS)
SPELLINGS |= {kind.spelling(): kind for kind in OPTIMIZERS if kind is not Momentum and kind.spelling() not in NINE}
_MAKERS = {**{kind.spelling(): kind for kind in OPTIMIZERS}, **SPELLINGS}


def optimizer(name: str, **fields: Any) -> tuple[Optimizer, Decay]:
    """The optimizer (and decay) that a spelling stands for, with these fields."""
    allowed = fields_of(name)
    for field in fields:
        if field not in allowed:
            raise unknown(f"field of {name}", field, allowed)
    made = _MAKERS[name](**fields)
    return made if isinstance(made, tuple) else (made, NoDecay())


def fields_of(name: str) -> tuple[str, ...]:
    """The fields that an optimizer's spelling takes, in the order of positional arguments."""
    if name not in _MAKERS:
        raise unknown("optimizer", name, SPELLINGS)
    own = {
        "heavy_ball": ("lr", "momentum", "dampening", "first", "rate"),
        "averaged_momentum": ("lr", "momentum"),
        "nesterov": ("lr", "momentum", "rate"),
        "amsgrad": Adam.__struct_fields__,
        "adamw": ("lr", "weight_decay", "beta1", "beta2", "eps", "eps_placement"),
    }
    kinds = {kind.spelling(): kind for kind in OPTIMIZERS}
    return own[name] if name in own else kinds[name].__struct_fields__


def optimizer_name(recipe: Recipe) -> str:
    """The spelling of a recipe's optimizer: ``adamw`` for Adam with decoupled decay, and so on."""
    match recipe.optimizer:
        case Momentum(nesterov=True):
            return "nesterov"
        case Momentum(momentum=momentum, dampening=dampening, first="damped") if momentum == dampening:
            return "averaged_momentum"
        case Momentum():
            return "heavy_ball"
        case Adam(amsgrad="no") if isinstance(recipe.decay, Decoupled):
            return "adamw"
        case Adam(amsgrad="no"):
            return "adam"
        case Adam():
            return "amsgrad"
        case other:
            return other.spelling()


def short(spec: Spec) -> str:
    """A piece in the grammar of the command line, without fields at their default: ``global_norm[c=2.0]``."""
    shown = [
        f"{field.name}={_value(getattr(spec, field.name))}"
        for field in msgspec.structs.fields(spec)
        if field.required or getattr(spec, field.name) != field.default
    ]
    return spec.spelling() + (f"[{','.join(shown)}]" if shown else "")


def _value(value: object) -> str:
    if isinstance(value, Spec):
        return short(value)
    if isinstance(value, tuple):
        return "(" + " ".join(_value(v) for v in value) + ")"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value).lower()


def optimizer_label(recipe: Recipe) -> str:
    """A spelling with its rate, as it stands beside every ranking: ``adamw[lr=0.001]``."""
    return f"{optimizer_name(recipe)}[lr={recipe.optimizer.lr:g}]"


def recipe_label(recipe: Recipe) -> str:
    """All of a recipe in one line."""
    parts = [optimizer_name(recipe) + short(recipe.optimizer).removeprefix(recipe.optimizer.spelling())]
    pieces = (recipe.clip, recipe.penalty, recipe.decay, recipe.schedule)
    parts += [short(piece) for piece in pieces if piece.spelling() not in ("none", "constant")]
    return " + ".join(parts)


def refuse_conflict(name: str, decay: Decay, asked: Decay) -> Decay:
    """The decay of a recipe whose spelling may bring one of its own (``adamw``)."""
    if isinstance(decay, NoDecay):
        return asked
    if isinstance(asked, NoDecay) or asked == decay:
        return decay
    raise InvalidInput(f"{name} brings its own decay {short(decay)}: leave out --decay, or use adam with it")
