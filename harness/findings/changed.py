"""Weights that the optimizer did not make: what a change of them does to the layer, and from when on."""

import math
from collections.abc import Iterator

from harness.findings.changes import Change, changes
from harness.findings.finding import Evidence, Finding, Kind
from harness.findings.seen import Seen, Weighted
from harness.findings.units import dead_share, saturated_share, tied, two_sided
from harness.spec.architecture import is_weight

KILLED = 0.05  # of a layer's units or outputs: so many more than before are dead or saturated by the change


def judge(seen: Seen) -> Iterator[Finding]:
    """One finding for each layer and step at which weights were changed, by what it does."""
    done: set[tuple[str, int]] = set()
    found = changes(seen)
    for change in sorted(found, key=lambda one: (one.step, not is_weight(one.parameter))):
        if (change.layer, change.step) in done:
            continue
        done.add((change.layer, change.step))
        kind, why = _effect(seen, change)
        start = change.step == 0
        when = "as they are said to be drawn" if start else "before"
        now = f"is {change.ratio:.3g} times what it was {when}"
        if math.isinf(change.ratio):
            now = f"is {change.after:.3g}, and was 0 {when}"
        least = change.before - change.allowed
        yield Finding(
            kind,
            "warning",
            change.layer,
            change.step,
            f"‖{change.parameter}‖ {now}, and no step made it so: {why}",
            (
                Evidence(
                    f"‖{change.parameter}‖",
                    change.after,
                    change.before,
                    least if least > 0 else -math.inf,
                    change.before + change.allowed,
                ),
            ),
        )


def _effect(seen: Seen, change: Change) -> tuple[Kind, str]:
    layer = next((one for one in seen.weighted if one.place.name == change.layer), None)
    if layer is not None and (effect := _of_units(seen, layer, change)) is not None:
        return effect
    if change.step == 0 and is_weight(change.parameter):
        return "poor_initialisation", "the layer does not start as the problem says"
    what = "what passes this layer, both ways," if is_weight(change.parameter) else "what it adds to the outputs"
    why = f"{what} is {change.ratio:.3g} times what it was" if math.isfinite(change.ratio) else f"{what} was nothing"
    return "vanishing" if change.ratio < 1 else "exploding", why


def _of_units(seen: Seen, layer: Weighted, change: Change) -> tuple[Kind, str] | None:
    if tied(seen, layer.place.name, change.step) >= 0.5:
        return "identical_units", "units have become copies of each other"
    grew = change.ratio > 1
    if not grew:
        return None
    name = layer.activation.name if layer.activation else layer.place.name
    before, after = dead_share(seen, name, change.step)
    if after - before > KILLED and not is_weight(change.parameter):
        return "dead_units", f"{after:.0%} of {name}'s units are dead, {before:.0%} before"
    before, after = saturated_share(seen, name, change.step) if two_sided(seen, name) else (0.0, 0.0)
    if after - before > KILLED and (change.step > 0 or not is_weight(change.parameter)):
        return "saturation", f"{after:.0%} of {name}'s outputs are saturated, {before:.0%} before"
    return None
