"""What is lost by answers that take no training: the best constant one, and the best linear one.

A network that loses as much as the first has learned nothing of its inputs; one that loses no more than the second has
learned what is easy to learn. Losses of batches are held against those of the same answer over batches of that size,
median against median: of few samples, or with outliers, the median of batches is far below the mean of all.
"""

import math

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logsumexp, softmax

from harness.problems.data import Floats, Targets
from harness.spec.layers import Shape
from harness.spec.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    times_mean,
)

ROOM = 4e8  # numbers that all steps of a search may touch: about a second
STEPS = 200  # of the search
TINY = 1e-300
SHARP = 1e-3  # of the targets' spread: nearer to 0 than that a distance |r| is made round, of derivative 0 at 0
NEVER = -800.0  # for ln 0: e to it is 0
BATCHES, DRAWN = 1000, 20_000  # that are drawn for a median: so many at least; samples at least


def constant(loss: Loss, targets: Targets, outputs: Shape) -> Floats:
    """The outputs that lose least of those that do not depend on the input; shape of the targets' outputs.

    Shares of the classes, the same at each place; of other losses for each output the share, mean or median of its
    targets, or Huber's own minimum. ``targets`` are those of all samples, ``outputs`` the shape of one sample's.
    """
    one: Floats
    match loss:
        case CrossEntropy():
            share = _one_hot(targets, outputs[-1]).reshape(-1, outputs[-1]).mean(axis=0)
            one = np.broadcast_to(_logarithm(share), outputs)
        case BinaryCrossEntropy():
            share = targets.mean(axis=0)
            one = _logarithm(share) - _logarithm(1 - share)
        case MeanSquaredError():
            one = targets.mean(axis=0)
        case MeanAbsoluteError():
            one = np.median(targets, axis=0)
        case Huber(delta=delta):
            columns = targets.reshape(len(targets), -1).T
            one = np.array([_middle(column, delta) for column in columns]).reshape(targets.shape[1:])
    return np.broadcast_to(one, (len(targets), *one.shape))


def linear(loss: Loss, inputs: Targets, targets: Targets, outputs: Shape) -> Floats | None:
    """The outputs Wx + b that lose least, as far as a search of ``STEPS`` steps finds them.

    All of these losses are convex in W and b, so what is found is near the least, and above it. None of inputs that are
    no numbers, and of more than the search has ``ROOM`` for.
    """
    x: Floats = inputs.reshape(len(inputs), -1)
    if np.issubdtype(x.dtype, np.integer) or STEPS * len(x) * (x.shape[1] + 1) * math.prod(outputs) > ROOM:
        return None
    x = _scaled(x.astype(np.float64))
    if isinstance(loss, MeanSquaredError):
        best = np.linalg.lstsq(x, targets.reshape(len(x), -1), rcond=None)[0]
        return np.asarray((x @ best).reshape(targets.shape), dtype=np.float64)
    shape = (x.shape[1], math.prod(outputs))

    def value(flat: Floats) -> tuple[float, Floats]:
        z = (x @ flat.reshape(shape)).reshape(len(x), *outputs)
        least, slope = _value(loss, z, targets)
        return least, (x.T @ slope.reshape(len(x), -1)).ravel()

    start = np.zeros(shape)
    if isinstance(loss, Huber | MeanAbsoluteError):
        start[-1] = np.median(targets.reshape(len(x), -1), axis=0)
    found = minimize(value, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    return np.asarray((x @ found.reshape(shape)).reshape(len(x), *outputs), dtype=np.float64)


def losses(loss: Loss, answer: Floats, targets: Targets) -> Floats:
    """The mean over its terms that each sample loses by an answer; shape (samples,)."""
    match loss:
        case CrossEntropy():
            each = _one_hot(targets, answer.shape[-1])
            terms = logsumexp(answer, axis=-1) - (each * answer).sum(axis=-1)
        case BinaryCrossEntropy():
            terms = np.logaddexp(0, answer) - targets * answer
        case MeanSquaredError():
            terms = (answer - targets) ** 2
        case MeanAbsoluteError():
            terms = np.abs(answer - targets)
        case Huber(delta=delta):
            terms = _huber(answer - targets, delta)
    return np.asarray(terms.reshape(len(targets), -1).mean(axis=1), dtype=np.float64)


def of_all(loss: Loss, each: Floats, outputs: Shape) -> float:
    """The loss of all samples in one batch, from what each loses."""
    return times_mean(loss, (len(each), *outputs)) * float(each.mean())


def of_a_batch(loss: Loss, each: Floats, outputs: Shape, batch: int) -> float:
    """The median loss of batches of that size, from what each sample loses."""
    times, mean = times_mean(loss, (batch, *outputs)), float(each.mean())
    if batch >= len(each):
        return times * mean
    drawn = np.random.default_rng(0).integers(len(each), size=(max(BATCHES, DRAWN // batch), batch))
    median = float(np.median(each if batch == 1 else each[drawn].mean(axis=1)))
    return times * (median or mean)  # where most samples lose nothing, the others are what there is to learn


def _logarithm(share: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.maximum(np.log(share), NEVER), dtype=np.float64)


def _one_hot(targets: Targets, classes: int) -> Floats:
    labels = np.issubdtype(targets.dtype, np.integer)
    return np.asarray(np.eye(classes)[targets] if labels else targets, dtype=np.float64)


def _scaled(x: Floats) -> Floats:
    """Inputs of mean 0 and spread 1, those that vary; and a 1. What is linear in them is so in the inputs."""
    spread = x.std(axis=0)
    varying = spread > 1e-9 * np.abs(x).max(initial=1.0)
    moved = (x - x.mean(axis=0))[:, varying] / spread[varying]
    return np.concatenate([moved, np.ones((len(x), 1))], axis=1)


def _value(loss: Loss, z: Floats, y: Targets) -> tuple[float, Floats]:
    """The mean over all terms, and its derivative by z."""
    match loss:
        case CrossEntropy():
            slope = softmax(z, axis=-1) - _one_hot(y, z.shape[-1])
            return float(losses(loss, z, y).mean()), slope / math.prod(z.shape[:-1])
        case BinaryCrossEntropy():
            return float(losses(loss, z, y).mean()), (expit(z) - y) / z.size
        case MeanSquaredError():
            return float(losses(loss, z, y).mean()), 2 * (z - y) / z.size
        case Huber(delta=delta):
            return float(_huber(z - y, delta).mean()), np.clip(z - y, -delta, delta) / z.size
        case MeanAbsoluteError():
            to = SHARP * max(float(np.std(y)), TINY)
            return float(_huber(z - y, to).mean()) / to, np.clip((z - y) / to, -1, 1) / z.size


def _huber(r: Floats, delta: float) -> Floats:
    near = np.abs(r) <= delta
    return np.where(near, r * r / 2, delta * (np.abs(r) - delta / 2))


def _middle(y: Floats, delta: float) -> float:
    """The number whose Huber losses are least."""
    low, high = float(y.min()), float(y.max())
    if math.isclose(low, high):
        return low
    return float(minimize_scalar(lambda at: _huber(at - y, delta).mean(), bounds=(low, high), method="bounded").x)
