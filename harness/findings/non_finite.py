"""The first number that is not finite: at which step, in which tensor, on the way forward, back, or in the update."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from harness.findings.finding import Evidence, Finding
from harness.findings.seen import Seen
from harness.spec.layers import Residual


class Where(NamedTuple):
    """The place of the first number that is not finite."""

    layer: str
    why: str
    quantity: str
    seen: float


def judge(seen: Seen) -> Iterator[Finding]:
    """At most one: of each observed step, what comes first in it is looked at first."""
    losses = seen.track("loss")
    broken = losses.steps[~np.isfinite(losses.values)]
    steps = sorted({int(step) for step in seen.track("gradient_norm").steps} | {int(step) for step in broken[:1]})
    for step in steps:
        found = _in_step(seen, step)
        if found is not None:
            evidence = Evidence(found.quantity, found.seen, 0.0, -np.inf, 0.0)
            yield Finding("non_finite", "failure", found.layer, step, found.why, (evidence,))
            return


def _in_step(seen: Seen, step: int) -> Where | None:
    for way in (_weights, _forward, _back, _update):
        found = way(seen, step)
        if found is not None:
            return found
    if not np.isfinite(_at(seen, "loss", "", step, 0.0)):
        looked = step in seen.track("gradient_nonfinite", next(iter(seen.task.parameters))).steps
        before = "all outputs and gradients of this step are" if looked else "what came before it was not observed"
        return Where("", f"the loss is not finite; {before}", "loss", np.nan)
    return None


def _at(seen: Seen, series: str, tensor: str, step: int, otherwise: float) -> float:
    track = seen.track(series, tensor)
    found = track.values[track.steps == step]
    return float(found[0]) if found.size else otherwise


def _weights(seen: Seen, step: int) -> Where | None:
    """A parameter that is not finite before the step begins: gates and softmaxes may make finite outputs of it."""
    for name in seen.task.parameters:
        norm, largest = (_at(seen, series, name, step, 0.0) for series in ("weight_norm", "weight_max"))
        if np.isnan(norm) or np.isinf(largest):  # squares of finite numbers may overflow in a norm
            return Where(name.rpartition(".")[0], f"on the way forward: {name} itself is not finite", f"‖{name}‖", norm)
    return None


def _forward(seen: Seen, step: int) -> Where | None:
    """The first layer whose outputs are not all finite, though all parameters are."""
    counts = {place.name: _at(seen, "nonfinite", place.name, step, 0.0) for place in seen.places}
    bad = [place for place in seen.places if counts[place.name] > 0]
    # What a residual gives is made after what is inside it.
    inner = [
        place
        for place in bad
        if not (isinstance(place.layer, Residual) and any(o.name.startswith(f"{place.name}.") for o in bad))
    ]
    if not inner:
        return None
    name = inner[0].name
    if name == seen.places[0].name and not np.isfinite(seen.task.parts["training"].x).all():
        why = "on the way forward: the data is not finite"
    else:
        why = "on the way forward: its inputs and parameters are finite, its outputs are not"
    return Where(name, why, f"outputs of {name} that are NaN or ±∞", counts[name])


def _back(seen: Seen, step: int) -> Where | None:
    """The layer nearest the loss at which ∂L/∂y is not finite; or a parameter's own gradient."""
    for place in reversed(seen.places):
        if not np.isfinite(_at(seen, "signal_norm", place.name, step, 0.0)):
            if isinstance(place.layer, Residual) and any(
                not np.isfinite(_at(seen, "signal_norm", p.name, step, 0.0))
                for p in seen.places
                if p.name.startswith(f"{place.name}.")
            ):
                continue
            why = "on the way back: what it gives is finite, what comes back to it is not"
            return Where(place.name, why, f"‖∂L/∂{place.name}‖", _at(seen, "signal_norm", place.name, step, 0.0))
    for name in reversed(seen.task.parameters):
        norm = _at(seen, "gradient_norm", name, step, 0.0)
        if not np.isfinite(norm):
            count = _at(seen, "gradient_nonfinite", name, step, np.nan)
            layer = name.rpartition(".")[0] if len(seen.track("signal_norm", name.rpartition(".")[0])) else ""
            return Where(layer, f"on the way back: the gradient of {name}", f"numbers of ∇{name}", count)
    return None


def _update(seen: Seen, step: int) -> Where | None:
    """A parameter whose gradient is finite, and whose update is not."""
    for name in seen.task.parameters:
        if not np.isfinite(_at(seen, "update_norm", name, step, 0.0)):
            why = f"in the update of {name}: its gradient is finite, its step is not"
            return Where(name.rpartition(".")[0], why, f"‖Δ{name}‖", _at(seen, "update_norm", name, step, 0.0))
    return None
