"""What theory expects of a network at its start: the size of signals and of gradients in every layer.

``expected`` follows a batch of real data through a network whose weights are not yet drawn, and back from the loss. It
says for each layer the mean square of its outputs, the size of ∂L/∂outputs and the factor by which the layer changes
it, for each parameter the size of its gradient, and how far a draw of this width may lie from that. Each number is
exact (at any width, in expectation), mean field (in the limit of infinite width) or unknown, with the reason.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.health.field import Start, nothing, of_data
from harness.health.outputs import from_loss
from harness.health.spread import Shocks, mixed
from harness.health.walk import Part, Seen, Way, back, forward, own_parameters
from harness.problems.data import Floats, Targets
from harness.spec.architecture import outputs, parameters, places
from harness.spec.layers import GRU, LSTM, Attention, BatchNorm, Shape, SimpleRNN
from harness.spec.losses import Loss, times_mean
from harness.spec.problem import Network

Certainty = Literal["exact", "mean field", "unknown"]
MOST = 2048  # samples × places, at the widest: K has the square of that


@dataclass(frozen=True)
class Layer:
    """One layer at the start; a residual's own, around those inside it, has its name."""

    name: str
    square: float  # mean square of the outputs, over samples, places, features
    mean: float  # of the outputs
    gain: float  # ‖∂L/∂inputs‖²/‖∂L/∂outputs‖² of the batch
    gradient: float  # ‖∂L/∂outputs‖² of the batch
    spread: float  # standard deviation of ln ``square`` from draw to draw, at most, of one sample
    gradient_spread: float  # of ln ``gradient``
    forward: Certainty  # of ``square``
    back: Certainty  # of ``gain``
    why: str  # what is unknown, and why


@dataclass(frozen=True)
class Gradient:
    """‖∂L/∂θ‖² of one parameter, of a mean loss and before any penalty."""

    batch: int  # samples that were looked at
    whole: float  # of their loss
    sample: float  # of one sample's loss, on average
    common: float  # ⟨gradient of one sample's, of another's⟩ on average: ‖∇L‖² of infinitely many samples
    spread: float  # standard deviation of ln ‖∂L/∂θ‖², at most
    certainty: Certainty
    why: str

    def square(self, batch: int) -> float:
        """Of ``batch`` samples: noise, which averages out, and what they have in common; NaN where not known.

        Behind a batch norm a sample's gradient is not its own, and only the batch that was looked at is known.
        """
        return self.whole if batch == self.batch else (self.sample + (batch - 1) * self.common) / batch

    @property
    def noise_scale(self) -> float:
        """B_simple = tr Σ/‖∇L‖², the batch at which noise and signal are equal (McCandlish et al. 2018)."""
        return (self.sample - self.common) / self.common


@dataclass(frozen=True)
class Expected:
    """A network at its start."""

    layers: Mapping[str, Layer]
    gradients: Mapping[str, Gradient]
    common_spread: float  # the part of the gradients' spreads that all share: that of the outputs
    loss: Loss
    outputs: Shape

    def gradient_square(self, parameter: str, batch: int) -> float:
        """E‖∂L/∂θ‖² of a batch of that size, whatever the loss's reduction."""
        return times_mean(self.loss, (batch, *self.outputs)) ** 2 * self.gradients[parameter].square(batch)


@np.errstate(all="ignore")  # exploding networks do
def expected(problem: Network, x: Floats, y: Targets) -> Expected:
    """What theory expects at the start of training on one batch, two samples x or more with their targets y.

    Give a batch of the size that training sees, for a batch norm depends on it. Only the first so many samples are
    looked at that samples × places is 2048 at most, two at least.
    """
    inputs = x.shape[1:]
    shapes = [*(place.inputs for place in places(problem.model, inputs)), outputs(problem.model, inputs)]
    n = max(min(len(x), MOST // max(math.prod(shape[:-1]) for shape in shapes)), 2)
    start = Start(problem.initialisation, problem.recurrent_initialisation, Shocks())
    steps = forward(problem.model, inputs, "", of_data(x[:n]), start)
    end = steps[-1].passed.after
    returned = from_loss(problem.loss, end, y[:n])
    top = start.shocks.new(returned.variance if returned else math.nan)
    g = returned.gradient if returned else nothing(len(end.kernel))
    why = "" if returned else end.why or "the outputs' distribution is not known"
    seen = list(back(steps, Way(g, top, why, (Part(g),)), start))
    apart = not any(isinstance(place.layer, BatchNorm) for place in places(problem.model, inputs))
    known = {f"{one.name}.{role}": made for one in seen for role, made in _gradients(one, n, start.shocks, apart)}
    names = [place.name for place in places(problem.model, inputs)]
    layers = {one.name: _layer(one, start.shocks) for one in seen}
    return Expected(
        {name: layers[name] for name in names},
        {name: known[name] for name in parameters(problem.model, inputs)},
        start.shocks.deviation(top),
        problem.loss,
        outputs(problem.model, inputs),
    )


def _layer(seen: Seen, shocks: Shocks) -> Layer:
    field, step = seen.step.passed.after, seen.step
    square, gradient = field.square, seen.above.total(field)
    forward: Certainty = "unknown" if math.isnan(square) else "exact" if field.exact else "mean field"
    back: Certainty = "unknown" if math.isnan(seen.gain) else "exact" if step.passed.exact else "mean field"
    why = field.why or step.passed.why or seen.above.why
    return Layer(
        seen.name,
        square,
        float(np.mean(field.mean)),
        seen.gain,
        gradient,
        shocks.deviation(field.sensitivity),
        shocks.deviation(seen.above.sensitivity),
        forward,
        back,
        why if math.isnan(square + seen.gain + gradient) else "",
    )


def _gradients(seen: Seen, n: int, shocks: Shocks, apart: bool) -> Iterator[tuple[str, Gradient]]:
    """Of a layer's parameters; ``apart`` where each sample has a gradient of its own."""
    step = seen.step
    products = step.passed.gradients(seen.above.gradient)
    parts = [step.given.sensitivity, seen.above.sensitivity]
    if isinstance(step.place.layer, SimpleRNN | LSTM | GRU | Attention):
        parts.append(step.passed.sensitivity)  # weights in the middle of it
    spread = shocks.deviation(mixed(*((1.0, part) for part in parts)))
    for role in own_parameters(step.place):
        matrix = products.get(role, np.array([[math.nan]]))
        own = float(np.trace(_by_sample(matrix, n)))
        whole = float(np.sum(matrix))
        sample, common = (n * own, n * (whole - own) / (n - 1)) if apart else (math.nan, math.nan)
        why = step.given.why or step.passed.why or seen.above.why or "not derived here"
        known = not math.isnan(whole)
        yield (
            role,
            Gradient(n, whole, sample, common, spread, "mean field" if known else "unknown", "" if known else why),
        )


def _by_sample(matrix: Floats, n: int) -> Floats:
    """Summed over the places of each two samples."""
    sites = max(len(matrix) // n, 1)
    return np.asarray(matrix.reshape(len(matrix) // sites, sites, -1, sites).sum(axis=(1, 3)))
