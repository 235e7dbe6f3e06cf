"""Signals and gradients that vanish or explode on their way through the layers or through time, and why they do.

‖∂L/∂y‖² of a layer over that of the outputs, R, does not depend on the loss, its scale or the batch. Theory says what
it is at the start (``health.gains``). How small is too small depends on what is made of it: an optimizer that divides
by its gradients' size takes any; so a profile is a fault only where the run shows that it costs something, that little
was learned. By how much, ``VANISHED`` and ``UNLEARNED`` say.
"""

import math
from collections.abc import Iterator

import numpy as np
from msgspec.structs import replace

from harness.findings.finding import Evidence, Finding, Kind, Severity
from harness.findings.remedies import fitting
from harness.findings.seen import NOTHING_LEARNED, UNLEARNED, Seen, at_start
from harness.health.gains import Expected
from harness.problems import task as tasks
from harness.spec.initialisations import Initialisation, Orthogonal, Scaled, Zeros
from harness.spec.layers import SimpleRNN
from harness.spec.problem import Network

# ln of ‖∂L/∂y‖² over that of the outputs. At a hundredth of the gradient, and no sooner, a layer learns so slowly that
# a run of usual length ends before it has: rates that work differ by a factor of about a hundred.
VANISHED = math.log(1e4)
EXPLODED = math.log(1e4)
LATE = 0.25  # of the run: one that has learned nothing until then
TINY = 1e-300
BETTER = 0.5  # of an initialisation's profile, in logarithms: at most so large is one that cures it

CURES: tuple[Initialisation, ...] = (
    Scaled(scheme="he", distribution="normal"),
    Scaled(scheme="glorot", distribution="normal"),
    Scaled(scheme="lecun", distribution="normal"),
    Orthogonal(),
)


def judge(seen: Seen) -> Iterator[Finding]:
    """At the start, through depth and through time: of runs that learn little, or late."""
    if seen.places and seen.steps and (seen.unlearned() >= UNLEARNED or seen.plateau > LATE):
        yield from _through_time(seen)
        yield from _through_depth(seen)


def _harm(seen: Seen) -> Evidence:
    what = "what is not learned, of what the best linear answer has over the best constant one"
    return Evidence(what, seen.unlearned(), math.nan, -math.inf, UNLEARNED)


def _severity(seen: Seen) -> Severity:
    return "failure" if seen.left() > NOTHING_LEARNED else "warning"


def _through_depth(seen: Seen) -> Iterator[Finding]:
    problem = seen.cell.problem
    profile = observed_profile(seen)
    if not profile or not isinstance(problem, Network) or isinstance(problem.initialisation, Zeros):
        return
    assert seen.expected is not None
    theory = expected_profile(seen.expected)
    low, high = min(profile, key=lambda name: profile[name]), max(profile, key=lambda name: profile[name])
    size = _size(seen.expected)

    def found(kind: Kind, layer: str, at: str, why: str) -> Finding:
        quantity = f"ln ‖∂L/∂{at}‖² over ‖∂L/∂outputs‖² at the start"
        evidence = Evidence(quantity, profile[at], theory.get(at, math.nan), -VANISHED, EXPLODED)
        return Finding(kind, _severity(seen), layer, 0, why, (evidence, _harm(seen)))

    if max(-profile[low], profile[high], abs(size)) > VANISHED and (cure := _cure(seen, theory)):
        what = "far too large" if max(*theory.values(), size, key=abs) > 0 else "far too small"
        why = f"weights that start as {problem.initialisation.spelling()} are {what} for these layers: {cure}"
        yield found("poor_initialisation", "", high if profile[high] > -profile[low] else low, why)
    elif profile[low] < -VANISHED:
        why = f"what comes back to {low} is {math.exp(profile[low] / 2):.1e} of what the loss gives the outputs"
        yield found("vanishing", _first_vanished(seen, profile), low, why)
    elif profile[high] > EXPLODED:
        why = f"what comes back to {high} is {math.exp(profile[high] / 2):.1e} times what the loss gives the outputs"
        yield found("exploding", high, high, why)


def observed_profile(seen: Seen) -> dict[str, float]:
    """R of each layer at the first observed step."""
    found = {}
    for place in seen.places:
        track = seen.track("signal_norm", place.name)
        if len(track) and np.isfinite(track.values[0]) and track.values[0] > 0:
            found[place.name] = 2 * math.log(track.values[0])
    last = seen.places[-1].name if seen.places else ""
    return {name: value - found[last] for name, value in found.items()} if last in found else {}


def expected_profile(theory: Expected) -> dict[str, float]:
    """R of each layer, as theory has it; without those of which it knows nothing."""
    last = list(theory.layers.values())[-1].gradient
    with np.errstate(all="ignore"):
        ratios = {name: float(np.log(np.float64(layer.gradient) / last)) for name, layer in theory.layers.items()}
    return {name: ratio for name, ratio in ratios.items() if math.isfinite(ratio)}


def _size(theory: Expected) -> float:
    """ln of the outputs' mean square as theory has it, where it knows; 0 is that of outputs of order 1."""
    square = list(theory.layers.values())[-1].square
    return math.log(square) if 0 < square < math.inf else 0.0


def _first_vanished(seen: Seen, profile: dict[str, float]) -> str:
    """The layer with weights nearest the loss whose signal has vanished: those below it only pass on what they get."""
    vanished = [layer.place.name for layer in seen.weighted if profile.get(layer.place.name, 0.0) < -VANISHED]
    return vanished[-1] if vanished else min(profile, key=lambda name: profile[name])


def _cure(seen: Seen, theory: dict[str, float]) -> str | None:
    """What weights should have started as: the first initialisation with a profile less than half as steep."""
    problem = seen.cell.problem
    if not theory or not isinstance(problem, Network):
        return None
    assert seen.expected is not None
    steep = max(max(abs(value) for value in theory.values()), abs(_size(seen.expected)))
    for initialisation in dict.fromkeys((fitting(problem.model), *CURES)):  # what the remedy draws first
        if initialisation == problem.initialisation:
            continue
        other = at_start(replace(problem, initialisation=initialisation), seen.cell.budget, seen.cell.seed)
        profile = expected_profile(other)
        whole = len(profile) == len(theory)
        if whole and max(*map(abs, profile.values()), abs(_size(other))) < BETTER * steep:
            return f"{_spelt(initialisation)} would keep signals within e^±{max(map(abs, profile.values())):.1f}"
    return None


def _spelt(initialisation: Initialisation) -> str:
    scheme = getattr(initialisation, "scheme", "")
    return {"he": "He's", "glorot": "Glorot's", "lecun": "LeCun's"}.get(scheme, initialisation.spelling())


def _through_time(seen: Seen) -> Iterator[Finding]:
    """Of simple RNNs, by what their recurrent matrix can do at most: ‖∂h_T/∂h_0‖ ≤ (σ_max(U)·sup|φ'|)^T.

    Vanishing where σ_max < 1/γ, exploding only where σ_max > 1/γ (Pascanu, Mikolov & Bengio 2013); γ = sup|φ'| is 1
    for tanh and ReLU.
    """
    start = tasks.initial(seen.task, seen.cell.seed)
    for place in seen.places:
        if not isinstance(place.layer, SimpleRNN):
            continue
        times, u = place.inputs[0], start[f"{place.name}.recurrent"]
        most = 2 * times * math.log(max(float(np.linalg.norm(u, 2)), TINY))
        radius = float(np.abs(np.linalg.eigvals(u)).max())
        carried = 2 * times * math.log(max(radius, TINY))
        if most < -VANISHED:
            evidence = Evidence(f"ln ‖∂h_T/∂h_0‖² over {times} steps, at most", most, 0.0, -VANISHED, math.inf)
            why = f"its recurrent matrix leaves at most {math.exp(most / 2 / times):.2g} of what comes back a step"
            yield Finding("vanishing", _severity(seen), place.name, 0, why, (evidence, _harm(seen)))
        elif carried > EXPLODED:
            evidence = Evidence(f"ln ρ(U)²ᵀ over {times} steps", carried, 0.0, -math.inf, EXPLODED)
            why = f"its recurrent matrix has the spectral radius {radius:.2g}: what it carries grows until it saturates"
            yield Finding("exploding", _severity(seen), place.name, 0, why, (evidence, _harm(seen)))
