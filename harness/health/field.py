"""A batch on its way through a network whose weights are not yet drawn: what is known of it is its second moments.

In the limit of infinite width the features of a layer are independent of each other and equal in distribution, so a
batch is known by one matrix K over all its samples and places, Kₐᵦ = E[xₐxᵦ] of one feature, and by the means E[xₐ]
(Lee et al. 2018; Matthews et al. 2018; with places, Novak et al. 2019). Back, it is known by Gₐᵦ = E[δₐδᵦ],
δ = ∂L/∂x of one feature, which may be taken to be independent of what went forward (Schoenholz et al. 2017; Yang 2020).
What is not known is NaN, with its reason.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from harness.health.spread import Sensitivity, Shocks
from harness.problems.data import Floats
from harness.spec.initialisations import Initialisation
from harness.spec.layers import Shape

Draw = Callable[[], Floats]  # independent features of a field: (channels, samples × places)
NUMBERS, CHANNELS = 1_000_000, 20_000  # of draws: about so many numbers, at most so many channels
JITTER = 1e-12  # of the trace: what rounding may make negative in K is below it, what draws show far above


class Start(NamedTuple):
    """How weights are drawn, and the shocks that their draws give."""

    weights: Initialisation
    recurrent: Initialisation
    shocks: Shocks

    @property
    def seed(self) -> int:
        """For draws: another one for each layer, the same in every run."""
        return len(self.shocks.variances)


@dataclass(frozen=True)
class Field:
    """What a layer is given, or gives."""

    samples: int
    shape: Shape  # of one sample: (…, features)
    kernel: Floats  # K, (samples × places, the same), places in row-major order
    mean: Floats  # E x, (samples × places,)
    gaussian: bool = False  # features are independent Gaussians: linear in weights just drawn
    symmetric: bool = False  # given all below, as likely as its negative: ReLU's averages are exact at any width
    exact: bool = True  # diag K is exact at any width
    sensitivity: Sensitivity = field(default_factory=dict)  # of ln E x²
    draw: Draw | None = None
    values: Floats | None = None  # the data itself, (samples, *shape), until a layer has changed it
    why: str = ""  # why it is not known

    @property
    def features(self) -> int:
        """The size of the last axis."""
        return self.shape[-1]

    @property
    def places(self) -> int:
        """All other axes."""
        return len(self.kernel) // self.samples

    @property
    def square(self) -> float:
        """E x², the mean over samples and places."""
        return float(np.mean(np.diag(self.kernel)))


@dataclass(frozen=True)
class Passed:
    """A batch behind a layer, and the layer's way back."""

    after: Field
    back: Callable[[Floats], Floats]  # G of the outputs → G of the inputs
    gradients: Callable[[Floats], dict[str, Floats]] = lambda _: {}  # role → a matrix whose sum is E‖∂L/∂θ‖²
    sensitivity: Sensitivity = field(default_factory=dict)  # of ln(‖δ below‖²/‖δ above‖²)
    exact: bool = False  # E‖δ below‖²/‖δ above‖² is exact at any width, for a δ that does not depend on the weights
    why: str = ""  # why the way back is not known
    slopes: Draw | None = None  # where δ below is δ above times a slope of each feature: draws of that
    spread_out: Callable[[Floats], Floats] = lambda g: g  # and first taken from windows to what they see
    joint: Callable[[Floats | None, Floats], Floats] | None = None  # ``back`` where such slopes lie above


def of_data(x: Floats) -> Field:
    """The data as it is; its last axis are features, and K their mean products."""
    rows = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x[:, None]
    kernel = rows @ rows.T / rows.shape[1]
    return Field(len(x), x.shape[1:], kernel, rows.mean(axis=1), draw=lambda: rows.T, values=x)


def gaussian(kernel: Floats, seed: int, channels: int | None = None) -> Draw:
    """Features of covariance K, so many; if left out, as many as the numbers allow."""
    channels = channels or min(-(-NUMBERS // len(kernel)), CHANNELS)

    @functools.cache
    def draw() -> Floats:
        if not np.isfinite(kernel).all() or not kernel.any():
            return np.repeat(kernel[:1], channels, axis=0)
        z = np.random.default_rng([seed, len(kernel)]).standard_normal((channels, len(kernel)))
        return np.asarray(z @ np.linalg.cholesky(kernel + np.eye(len(kernel)) * JITTER * np.trace(kernel)).T)

    return draw


def together(one: Draw | None, other: Draw | None) -> Draw | None:
    """Draws of a sum of two independent fields."""
    if one is None or other is None:
        return None

    def draw() -> Floats:
        a, b = one(), other()
        channels = np.arange(max(len(a), len(b)))
        return np.asarray(a[channels % len(a)] + b[channels % len(b)])

    return draw


def moments(x: Floats) -> tuple[Floats, Floats]:
    """K and the means of drawn features (channels, samples × places)."""
    return x.T @ x / len(x), x.mean(axis=0)


def nothing(size: int) -> Floats:
    """A matrix of which nothing is known."""
    return np.full((size, size), np.nan)


def unknown(given: Field, shape: Shape, places: int, why: str) -> Passed:
    """A layer for which there is no theory here."""
    size, before = given.samples * places, len(given.kernel)
    after = Field(given.samples, shape, nothing(size), np.full(size, np.nan), exact=False, why=given.why or why)
    return Passed(after, lambda _: nothing(before), why=why)
