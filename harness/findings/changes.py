"""Weights that something other than the optimizer's steps has changed: at the start, from what they are said to be.

By a step a norm changes by no more than the step is long,

    |‖wₜ₊₁‖ − ‖wₜ‖| ≤ ‖Δwₜ‖

(the triangle inequality). It is asked of steps that were observed one right after the other, all of them where every
one is, else those that ``measure.between`` has looked at: across a step that nobody observed nothing is said. And
weights that are just drawn have a norm that is known: ‖w‖² is the sum of n independent squares, of relative variance
2/n for a normal distribution and less for the others here.
"""

import math
from typing import NamedTuple

import numpy as np

from harness.findings.seen import Seen
from harness.health.weights import reach, variance
from harness.spec.architecture import Parameter, parameters
from harness.spec.initialisations import Initialisation, Orthogonal, Zeros
from harness.spec.problem import Network

DEVIATIONS = 6.0  # of a norm from what its distribution gives: by chance once in 10⁹ tensors
ROUNDING = 1e-4  # of a norm: what float32 sums may lose, and no fault would aim at


class Change(NamedTuple):
    """A parameter that was changed."""

    parameter: str
    step: int  # the first that has it
    before: float  # ‖w‖ as it would be
    after: float
    allowed: float  # how far ‖w‖ may have come

    @property
    def layer(self) -> str:
        """The parameter's."""
        return self.parameter.rpartition(".")[0]

    @property
    def role(self) -> str:
        """The parameter's in its layer."""
        return self.parameter.rpartition(".")[2]

    @property
    def ratio(self) -> float:
        """‖w‖ after over before."""
        return self.after / self.before if self.before > 0 else math.inf


def changes(seen: Seen) -> list[Change]:
    """All of a run, in the order of their steps."""
    found = [*_at_the_start(seen)]
    for name in seen.task.parameters:
        found += _later(seen, name)
    return sorted(found, key=lambda change: change.step)


def _later(seen: Seen, name: str) -> list[Change]:
    return [*_of_steps(seen, name, ""), *_of_steps(seen, name, "_between")]


def _of_steps(seen: Seen, name: str, where: str) -> list[Change]:
    norms, moves = (seen.track(f"{quantity}{where}", name) for quantity in ("weight_norm", "update_norm"))
    own = [one for one in seen.task.parameters if one.rpartition(".")[0] == name.rpartition(".")[0]]
    found = []
    for i in np.flatnonzero(np.diff(norms.steps) == 1):
        before, moved, after = float(norms.values[i]), float(moves.values[i]), float(norms.values[i + 1])
        if not np.isfinite([before, moved, after]).all():
            break
        layer = max(
            float(seen.track(f"weight_norm{where}", one).values[i]) for one in own
        )  # of a bias, its weights' too
        allowed = reach(before, layer, moved) + ROUNDING * after
        if abs(after - before) > allowed:
            found.append(Change(name, int(norms.steps[i + 1]), before, after, allowed))
    return found


def _at_the_start(seen: Seen) -> list[Change]:
    problem = seen.cell.problem
    if not isinstance(problem, Network):
        return []
    found = []
    for name, parameter in parameters(problem.model, seen.task.inputs).items():
        norms = seen.track("weight_norm", name)
        if len(norms) and norms.steps[0] == 0 and np.isfinite(norms.values[0]):
            norm, allowed = _drawn(problem, parameter)
            if abs(norms.values[0] - norm) > allowed:
                found.append(Change(name, 0, norm, float(norms.values[0]), allowed))
    return found


def _drawn(problem: Network, parameter: Parameter) -> tuple[float, float]:
    """The norm that a parameter starts with, and how far from it one that is drawn so may be."""
    numbers = math.prod(parameter.shape)
    if parameter.start == "filled":
        norm = math.sqrt(numbers / len(parameter.fill) * sum(value**2 for value in parameter.fill))
        return norm, ROUNDING * norm
    recurrent = parameter.start == "recurrent"
    drawn: Initialisation = problem.recurrent_initialisation if recurrent else problem.initialisation
    block = (*parameter.shape[:-1], parameter.shape[-1] // parameter.blocks)
    norm = math.sqrt(numbers * variance(drawn, block, parameter.fans))
    relative = (
        0.0 if isinstance(drawn, Orthogonal | Zeros) else math.sqrt(2 / numbers) / 2
    )  # of the norm, half of ‖w‖²'s
    # Few numbers are no Gaussian sum: a norm of one may well be 0.
    return norm, norm * (DEVIATIONS * relative * (1 + 2 / math.sqrt(numbers)) + ROUNDING)
