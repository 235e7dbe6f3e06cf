"""Planted faults: what they make of the parameters, and of the rate."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from harness.backend import Floats, Parameters
from harness.errors import InvalidInput, unknown
from harness.spec.fault import Fault, OfParameter, Put, Rate, Scale, Shift, Tie
from harness.spec.layers import Shape
from harness.spec.recipe import Recipe
from harness.spec.schedules import Plateau


def refuse_misplaced(faults: tuple[Fault, ...], shapes: Mapping[str, Shape], recipe: Recipe, steps: int) -> None:
    """Refuse what could not be planted into so many steps with these parameters, before anything runs."""
    for fault in faults:
        if fault.step >= steps:
            raise InvalidInput(f"fault {fault.spelling()}: step {fault.step} is beyond the run's {steps} steps")
        if isinstance(fault, Rate):
            if isinstance(recipe.schedule, Plateau):
                raise InvalidInput("fault rate: the schedule is plateau, which sets the rate itself")
            continue
        if fault.parameter not in shapes:
            raise unknown("parameter", fault.parameter, shapes)
        shape = shapes[fault.parameter]
        if isinstance(fault, Put) and fault.index >= np.prod(shape):
            raise InvalidInput(f"fault put: {fault.parameter} has {np.prod(shape):.0f} numbers, no index {fault.index}")
        if isinstance(fault, Tie) and fault.along == "inputs" and len(shape) < 2:
            raise InvalidInput(f"fault tie: {fault.parameter} has no axis of inputs, its shape is {shape}")
        if isinstance(fault, Shift) and fault.units > shape[-1]:
            raise InvalidInput(f"fault shift: {fault.parameter} has {shape[-1]} units, not {fault.units}")


class Plantable(Protocol):
    """What is asked of a trainer here, as of ``backend.Trainer``."""

    @property
    def parameters(self) -> Callable[[], Parameters]:
        """The present parameters."""
        ...

    @property
    def place(self) -> Callable[[Parameters], None]:
        """Put these in their place."""
        ...

    def rescale(self, factor: float) -> None:
        """From the next step on, η is so many times what the schedule gives."""
        ...


def plant(faults: tuple[Fault, ...], trainer: Plantable) -> None:
    """Change the trainer's parameters and rate; what the optimizer keeps stays as it is."""
    changed: dict[str, Floats] = {}
    for fault in faults:
        if isinstance(fault, Rate):
            trainer.rescale(fault.factor)
        else:
            changed = changed or dict(trainer.parameters())
            changed[fault.parameter] = changed_by(fault, changed)
    if changed:
        trainer.place(changed)


def changed_by(fault: OfParameter, parameters: Mapping[str, Floats] | Parameters) -> Floats:
    """The parameter as the fault leaves it."""
    w = parameters[fault.parameter].copy()
    match fault:
        case Scale(factor=factor):
            w *= factor
        case Shift(by=by, units=units):
            w[..., : units or w.shape[-1]] += by
        case Put(value=value, index=index):
            w.flat[index] = float(value)
        case Tie(along="units"):
            w[...] = w[..., :1]
        case Tie():
            w[...] = w[..., :1, :]
    return w
