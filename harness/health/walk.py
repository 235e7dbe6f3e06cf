"""All layers of a network in turn, forward, and from the last to the first back."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.health.field import Draw, Field, Passed, Start, moments, nothing, together
from harness.health.passing import passed
from harness.health.spread import Sensitivity, mixed, of_sum
from harness.problems.data import Floats
from harness.spec.architecture import Place, names, output_shape, parameters
from harness.spec.layers import Layer, Residual, Shape

INDEPENDENT = "its layers have no weights, so that their outputs depend on its inputs"


@dataclass(frozen=True)
class Step:
    """A layer that a batch has passed; of a residual, its own layers."""

    place: Place
    given: Field
    passed: Passed
    inner: tuple["Step", ...] = ()


class Part(NamedTuple):
    """Of what comes back to the outputs of a layer: G times slopes that depend on the inputs of what is below.

    A batch norm's way back depends on its outputs, as do the slopes of an activation behind it; and which element of a
    pool's window is the largest depends on the inputs of its activation. So slopes are kept apart for the layer before.
    """

    gradient: Floats
    slopes: Draw | None = None

    def whole(self) -> Floats:
        """G behind the slopes."""
        return self.gradient if self.slopes is None else self.gradient * moments(self.slopes())[0]


class Way(NamedTuple):
    """What comes back to the outputs of a layer."""

    gradient: Floats  # G
    sensitivity: Sensitivity  # of ln ‖δ‖²
    why: str  # why it is not known
    parts: tuple[Part, ...]  # independent of each other; their sum is G

    def total(self, field: Field) -> float:
        """‖δ‖² over all samples, places and features."""
        return field.features * float(np.trace(self.gradient))


class Seen(NamedTuple):
    """A layer on the way back."""

    step: Step
    above: Way
    below: Way
    gain: float  # ‖δ below‖²/‖δ above‖²

    @property
    def name(self) -> str:
        """The layer's."""
        return self.step.place.name


def forward(model: tuple[Layer, ...], inputs: Shape, within: str, given: Field, start: Start) -> tuple[Step, ...]:
    """A sequence of layers; ``within`` is the residual that holds it."""
    steps: list[Step] = []
    for name, layer in zip(names(model, within), model, strict=True):
        place = Place(name, layer, inputs, "")
        if isinstance(layer, Residual):
            inner = forward(layer.layers, inputs, name, given, start)
            step = Step(place, given, _added(given, inner, start), inner)
        else:
            step = Step(place, given, passed(place, given, start))
        steps.append(step)
        given, inputs = step.passed.after, output_shape(layer, inputs)
    return tuple(steps)


def _added(given: Field, inner: tuple[Step, ...], start: Start) -> Passed:
    """y = x + f(x), where the features of f(x) know of x by its second moments only: E[x·f] = E x·E f."""
    f = inner[-1].passed.after
    fresh = any(own_parameters(step.place) for step in inner)
    cross = np.outer(given.mean, f.mean)
    share = float(np.float64(f.square) / (given.square + f.square))
    crossing = start.shocks.new(of_sum(share, given.features))
    after = Field(
        given.samples,
        given.shape,
        given.kernel + f.kernel + cross + cross.T if fresh else nothing(len(given.kernel)),
        given.mean + f.mean,
        gaussian=given.gaussian and f.gaussian,
        exact=given.exact and f.exact and f.symmetric,
        sensitivity=mixed((1 - share, given.sensitivity), (share, f.sensitivity), (1.0, crossing)),
        draw=together(given.draw, f.draw) if fresh else None,
        why=given.why or f.why or ("" if fresh else INDEPENDENT),
    )
    exact = f.symmetric and all(step.passed.exact for step in inner)
    return Passed(after, lambda g: g, exact=exact, why="" if fresh else INDEPENDENT)


def back(steps: tuple[Step, ...], way: Way, start: Start) -> Iterator[Seen]:
    """From the last layer to the first; a residual's own after it."""
    for step in reversed(steps):
        above = way
        if step.inner:
            inside = list(back(step.inner, above, start))
            way = _joined(step, above, inside[-1].below, start)
            yield Seen(step, above, way, _gain(step, above.gradient, way.gradient))
            yield from inside
            continue
        way = _below(step, above)
        gain = _gain(step, above.gradient, way.gradient)
        if math.isnan(gain):  # gradients from above may be unknown, or 0; the layer's own factor is not
            even = np.eye(len(above.gradient))
            gain = _gain(step, even, step.passed.back(even))
        yield Seen(step, above, way, gain)


def _below(step: Step, above: Way) -> Way:
    passed = step.passed
    sensitivity = mixed((1.0, above.sensitivity), (1.0, passed.sensitivity))
    if passed.joint:
        parts = [passed.joint(part.slopes() if part.slopes else None, part.gradient) for part in above.parts]
        gradient = np.asarray(sum(parts))
    elif passed.slopes and len(above.parts) == 1 and not above.parts[0].slopes:
        gradient = passed.back(above.gradient)
        part = Part(passed.spread_out(above.gradient), passed.slopes)
        return Way(gradient, sensitivity, above.why or passed.why, (part,))
    elif passed.slopes:
        held = tuple(Part(passed.spread_out(part.gradient), _times(passed.slopes, part.slopes)) for part in above.parts)
        return Way(np.asarray(sum(part.whole() for part in held)), sensitivity, above.why or passed.why, held)
    else:
        gradient = passed.back(above.gradient)
    return Way(gradient, sensitivity, above.why or passed.why, (Part(gradient),))


def _times(one: Draw, other: Draw | None) -> Draw:
    if other is None:
        return one

    @functools.cache
    def product() -> Floats:
        a, b = one(), other()
        return a * b if a.shape == b.shape else np.full((1, a.shape[1]), np.nan)

    return product


def _gain(step: Step, above: Floats, below: Floats) -> float:
    return float(step.given.features * np.trace(below) / (step.passed.after.features * np.trace(above)))


def _joined(step: Step, above: Way, inner: Way, start: Start) -> Way:
    """δ below a residual: δ above, and what has come back through its layers; on average orthogonal."""
    both = above.gradient + inner.gradient
    share = float(np.trace(inner.gradient) / np.trace(both))
    crossing = start.shocks.new(of_sum(share, step.given.features))
    parts = mixed((1 - share, above.sensitivity), (share, inner.sensitivity), (1.0, crossing))
    why = above.why or inner.why or step.passed.why
    if step.passed.why:
        both = nothing(len(both))
        return Way(both, parts, why, (Part(both),))
    return Way(both, parts, why, (*above.parts, Part(inner.gradient)))


def own_parameters(place: Place) -> tuple[str, ...]:
    """The roles of one layer's own parameters."""
    if isinstance(place.layer, Residual):
        return ()
    return tuple(name.split(".")[-1] for name in parameters((place.layer,), place.inputs))
