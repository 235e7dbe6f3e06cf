"""Units that do nothing any more: dead, saturated, or copies of others."""

import math
from collections.abc import Iterator

import numpy as np

from harness.findings.finding import Evidence, Finding
from harness.findings.seen import UNLEARNED, Seen, Track
from harness.health.dead import born_dead, unlikely_count
from harness.observation import saturation

DEAD = 0.5  # of a layer's units: as many are lost as a layer of half the width has
NEARLY_ALL = 0.9  # so many are a fault whatever the run has learned; fewer, where it has learned little
SATURATED = 0.5  # of a layer's outputs, whose slope is below a hundredth of its largest
COPIES = 0.25  # of a layer's units
CHANCE = 1e-6  # that so many units of a layer are born dead


def judge(seen: Seen) -> Iterator[Finding]:
    """Layers most of whose units are dead or saturated from some window to the end, and copies that stay copies."""
    for place in seen.places:
        yield from _dead(seen, place.name)
        yield from _saturated(seen, place.name)
    yield from _copies(seen)


def _dead(seen: Seen, layer: str) -> Iterator[Finding]:
    track = seen.track("dead", layer)
    if not len(track):
        return
    units = seen.units(layer)
    shares = track.values / units
    least = max(DEAD, unlikely_count(units, _born_dead(seen), CHANCE) / units)
    at = _from_then_on(track, shares, least)
    if at is None:
        return
    share = float(np.median(shares[track.steps >= at]))
    yield Finding(
        "dead_units",
        "failure" if share == 1 else "warning" if share > NEARLY_ALL or _costs(seen) else "note",
        layer,
        at,
        f"{share:.0%} of its {units} units give 0 for every sample of each window of {seen.measure.window} batches",
        (Evidence("share of units that are dead", share, _born_dead(seen), -np.inf, least),),
    )


def _costs(seen: Seen) -> bool:
    """Whether the run learned little; one that broke off shows nothing of that."""
    return seen.record.status != "diverged" and seen.unlearned() > UNLEARNED


def _born_dead(seen: Seen) -> float:
    """That one unit is inactive on a batch whose samples have nothing in common, each with probability ½."""
    return born_dead((1,)) if seen.batch * seen.measure.window == 1 else 2.0 ** -min(seen.batch, 16)


def _saturated(seen: Seen, layer: str) -> Iterator[Finding]:
    track = seen.track("saturated", layer)
    at = _from_then_on(track, track.values, SATURATED)
    if at is None or not two_sided(seen, layer):
        return
    share = float(np.median(track.since(at)))
    yield Finding(
        "saturation",
        "warning" if share > NEARLY_ALL or _costs(seen) else "note",
        layer,
        at,
        f"{share:.0%} of its outputs lie where the slope is below a hundredth of its largest",
        (Evidence("share of outputs that are saturated", share, np.nan, -np.inf, SATURATED),),
    )


def two_sided(seen: Seen, layer: str) -> bool:
    """Whether its outputs are bounded above and below: one that is flat on one side is at rest there, as a ReLU is."""
    kind = next(place.layer for place in seen.places if place.name == layer)
    bounds = saturation(kind)
    return bounds is not None and all(map(math.isfinite, bounds))


def _from_then_on(track: Track, values: np.ndarray, least: float) -> int | None:
    """The first step from which on all values but a tenth are at least that, to the end."""
    if not len(track) or not values[-1] >= least:
        return None
    over = values >= least
    tail = np.cumsum(over[::-1])[::-1] / np.arange(len(over), 0, -1)  # share from each on
    found = np.flatnonzero(over & (tail >= 0.9))
    return int(track.steps[found[0]]) if found.size else None


def _copies(seen: Seen) -> Iterator[Finding]:
    for layer in seen.weighted[:-1]:
        name = layer.place.name
        track = seen.track("identical", name)
        if len(track) < 2 or not track.values[-1]:
            continue
        units = seen.units(name)
        at = _from_then_on(track, track.values / units, COPIES)
        if at is None:
            continue
        share = float(track.values[-1]) / units
        earlier = track.steps[track.steps < at]  # looks are rare: it came after the one before
        at = int(earlier[-1]) if earlier.size else at
        yield Finding(
            "identical_units",
            "failure" if share == 1 else "warning",
            name,
            at,
            f"{share:.0%} of its {units} units are copies of each other, and no step has told them apart",
            (Evidence("share of units that equal another to the last bit", share, 0.0, -np.inf, COPIES),),
        )


def dead_share(seen: Seen, layer: str, step: int) -> tuple[float, float]:
    """Of a layer's units, before and from a step on."""
    track = seen.track("dead", layer)
    if not len(track):
        return 0.0, 0.0
    units = seen.units(layer)
    before, after = _around(track, step)
    return before / units, after / units


def saturated_share(seen: Seen, layer: str, step: int) -> tuple[float, float]:
    """Of a layer's outputs, before and from a step on."""
    return _around(seen.track("saturated", layer), step)


def _around(track: Track, step: int) -> tuple[float, float]:
    before, after = track.before(step)[-3:], track.since(step)[:3]  # the first may lie across the step
    return (float(np.median(before)) if before.size else 0.0), (float(after.max()) if after.size else 0.0)


def tied(seen: Seen, layer: str, step: int) -> float:
    """The share of a layer's units that are copies at the first look after a step, and were not before."""
    track = seen.track("identical", layer)
    after, before = track.since(step + 1)[:1], track.before(step + 1)[-1:]
    if not after.size or (before.size and step > 0 and before[0]):
        return 0.0
    return float(after[0]) / seen.units(layer)
