"""Thresholds that other tools use for the same symptoms, on the same observations: what a diagnosis is held against.

Each names its constants as its users find them, and is given what it asks for or the nearest that was observed: a mean
of |g| is taken as ‖g‖/√n, which it is at most; a batch's share of zeros is a window's. What they look at once, they
are let look at for every observed step. First of what they name counts.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from harness.findings.seen import Seen
from harness.spec.activations import Relu, Sigmoid, Tanh
from harness.spec.architecture import is_weight

Found = tuple[str, str, int]  # kind, layer, step
Rule = Callable[[Seen], Found | None]


def _first(found: Iterator[Found]) -> Found | None:
    return min(found, key=lambda one: one[2], default=None)


def _where(
    seen: Seen, series: str, names: list[str], kind: str, holds: Callable[[np.ndarray, str], np.ndarray]
) -> Iterator[Found]:
    for name in names:
        track = seen.track(series, name)
        if len(track):
            with np.errstate(all="ignore"):
                at = np.flatnonzero(holds(track.values, name))
            if at.size:
                yield kind, name.rpartition(".")[0] or name, int(track.steps[at[0]])


def _weights(seen: Seen) -> list[str]:
    return [name for name in seen.task.parameters if is_weight(name)]


def _mean(seen: Seen, norms: np.ndarray, name: str) -> np.ndarray:
    return np.asarray(norms / math.sqrt(math.prod(seen.task.shapes[name])))


def mean_gradients(seen: Seen) -> Found | None:
    """Vanishing: mean |g| < 1e-7; exploding: > 1e6, or not finite."""

    def found() -> Iterator[Found]:
        names = _weights(seen)
        yield from _where(seen, "gradient_norm", names, "vanishing", lambda v, n: _mean(seen, v, n) < 1e-7)
        yield from _where(seen, "gradient_norm", names, "exploding", lambda v, n: ~(_mean(seen, v, n) <= 1e6))

    return _first(found())


def ratio_of_ends(seen: Seen) -> Found | None:
    """Vanishing: ‖g_first‖/‖g_last‖ < 1e-3 and ‖g_first‖ < 1e-4; exploding: the ratio > 70, or not finite."""
    names = _weights(seen)
    first, last = (seen.track("gradient_norm", names[i]) for i in (0, -1))
    if not len(first):
        return None
    with np.errstate(all="ignore"):
        ratio = first.values / last.values
        low, high = (ratio < 1e-3) & (first.values < 1e-4), ~(ratio <= 70)
    layer = names[0].rpartition(".")[0]
    found = [("vanishing", layer, int(first.steps[i])) for i in np.flatnonzero(low)[:1]]
    found += [("exploding", layer, int(first.steps[i])) for i in np.flatnonzero(high)[:1]]
    return _first(iter(found))


def norms(seen: Seen) -> Found | None:
    """Vanishing: ‖g‖ < 1e-6; exploding: > 1e3, or not finite."""

    def found() -> Iterator[Found]:
        names = _weights(seen)
        yield from _where(seen, "gradient_norm", names, "vanishing", lambda v, _: v < 1e-6)
        yield from _where(seen, "gradient_norm", names, "exploding", lambda v, _: ~(v <= 1e3))

    return _first(found())


def zeros_of_gradients(seen: Seen) -> Found | None:
    """Dead ReLU: 70 % of a gradient's entries are exactly 0."""
    return _first(_where(seen, "gradient_zeros", _weights(seen), "dead_units", lambda v, _: v >= 0.7))


def zeros_of_outputs(seen: Seen) -> Found | None:
    """Dead ReLU: 70 % of a layer's outputs are 0."""
    names = [place.name for place in seen.places if isinstance(place.layer, Relu)]
    return _first(_where(seen, "zeros", names, "dead_units", lambda v, _: v >= 0.7))


def saturated(seen: Seen) -> Found | None:
    """Saturation: |output| near its bound (here: slope below a hundredth of its largest) for 70 % of outputs."""
    names = [place.name for place in seen.places if isinstance(place.layer, Tanh | Sigmoid)]
    return _first(_where(seen, "saturated", names, "saturation", lambda v, _: v > 0.7))


def _update_ratio(low: float, high: float) -> Rule:
    def rule(seen: Seen) -> Found | None:
        def found() -> Iterator[Found]:
            names = _weights(seen)
            yield from _where(seen, "update_ratio", names, "step_too_small", lambda v, _: v < low)
            yield from _where(seen, "update_ratio", names, "step_too_large", lambda v, _: v > high)

        return _first(found())

    return rule


def any_of_them(seen: Seen) -> Found | None:
    """Whatever any of the others says first."""
    said = (rule(seen) for name, rule in RULES.items() if name != ANY)
    return _first(one for one in said if one is not None)


ANY = "any of these rules"
RULES: dict[str, Rule] = {
    "mean |g| outside [1e-7, 1e6]": mean_gradients,
    "‖g first‖/‖g last‖ outside [1e-3, 70]": ratio_of_ends,
    "‖g‖ outside [1e-6, 1e3]": norms,
    "70 % of a gradient 0": zeros_of_gradients,
    "70 % of ReLU's outputs 0": zeros_of_outputs,
    "70 % of outputs saturated": saturated,
    "‖Δw‖/‖w‖ outside [1e-8, 10]": _update_ratio(1e-8, 10),
    "‖Δw‖/‖w‖ outside [1e-5, 0.1]": _update_ratio(1e-5, 0.1),
    "‖Δw‖/‖w‖ outside [1e-4, 0.1]": _update_ratio(1e-4, 0.1),
    ANY: any_of_them,
}
