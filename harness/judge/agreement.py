"""Same maths: how far each backend is from the reference, against what rounding alone may do.

Two trajectories are equal when the largest difference of any element of a tensor, over the largest distance that the
tensor moved in the reference, is at most max(1e-12, 100 × the reference's own response to moving every initial value,
and every number of shared random gradients, by one unit in the last place) in float64, and at most 1e-4 in float32.
Gradients of one batch are equal when the largest difference over the largest element is at most 1e-11. Left out are
tensors whose exact gradient is zero, such as a bias before a batch norm: what moves them is rounding, and no output
depends on them.
"""

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from msgspec.structs import replace

from harness.judge.differences import Difference, known
from harness.problems.data import shape
from harness.spec.architecture import without_gradient
from harness.spec.base import key
from harness.spec.job import Agreement, Job
from harness.spec.problem import Network, Problem
from harness.store import Record

FLOAT64, FLOAT32, GRADIENT, RESPONSES = 1e-12, 1e-4, 1e-11, 100.0


@dataclass(frozen=True)
class Verdict:
    """One comparison with the reference: the tensor that is farthest off, in units of its tolerance."""

    job: Job
    what: str  # "parameters" or "gradients"
    tensor: str
    distance: float  # relative; nan where there is nothing to compare
    tolerance: float
    response: float  # the reference's own to one unit in the last place; nan if it was not measured
    reason: str = ""  # why there is nothing to compare
    excused: bool = False  # nothing to compare, and nobody's fault: unsupported, or the reference itself diverges
    explained: Difference | None = None  # a reviewed known difference that covers it

    @property
    def equal(self) -> bool:
        """Whether the distance is within the tolerance."""
        return self.distance <= self.tolerance

    @property
    def differs(self) -> bool:
        """Whether this stands against the backend: off without a known cause, or without an answer."""
        return not self.equal and not self.excused and self.explained is None


def judge(records: Iterable[Record]) -> list[Verdict]:
    """A verdict for each agreement record of a backend other than the reference (and for its gradients)."""
    asked = [record for record in records if isinstance(record.job.measure, Agreement)]
    references = {_question(r.job): r for r in asked if r.job.cell.backend == "reference"}
    verdicts = []
    for record in asked:
        if record.job.cell.backend == "reference":
            continue
        reference = references.get(_question(record.job))
        nudged = references.get(_question(record.job, ulp=True))
        verdicts += _verdicts(record, reference, nudged)
    return sorted(verdicts, key=lambda v: (_order(v), key(v.job), v.what))


def _verdicts(record: Record, reference: Record | None, nudged: Record | None) -> list[Verdict]:
    job = record.job
    if record.status not in ("ok", "diverged"):
        return [_nothing(job, f"{record.status}: {record.reason}", excused=record.status == "unsupported")]
    if reference is None or reference.status not in ("ok", "diverged"):
        return [_nothing(job, "no record of the reference to compare with")]
    float64 = job.cell.precision == "float64"
    moved = {name: float(v[0]) for name, v in _tensors(reference, "moved").items()}
    exempt = _exempt(job.cell.problem)
    final = {name: values for name, values in _tensors(reference, "parameter").items() if name not in exempt}
    found = _tensors(record, "parameter")
    response = _relative(nudged, moved) if nudged is not None else {}
    if not all(np.isfinite(values).all() for values in final.values()) and record.status == reference.status:
        verdicts = [_nothing(job, "the reference diverges too: nothing finite to compare", excused=True)]
    elif math.inf in response.values():
        verdicts = [_nothing(job, "the reference itself diverges when its start moves by one ulp", excused=True)]
    else:
        tolerances = {n: max(FLOAT64, RESPONSES * response.get(n, 0.0)) if float64 else FLOAT32 for n in final}
        verdicts = [_worst(job, "parameters", _distances(found, final, moved), tolerances, response)]
    gradients = {name: values for name, values in _tensors(reference, "gradient").items() if name not in exempt}
    if gradients and float64:
        scale = {name: float(np.abs(g).max()) for name, g in gradients.items()}
        distances = _distances(_tensors(record, "gradient"), gradients, scale)
        verdicts.append(_worst(job, "gradients", distances, dict.fromkeys(gradients, GRADIENT), {}))
    return verdicts


@functools.cache
def _exempt(problem: Problem) -> frozenset[str]:
    """The tensors whose exact gradient is zero."""
    return without_gradient(problem.model, shape(problem.data)[1:]) if isinstance(problem, Network) else frozenset()


def _worst(
    job: Job, what: str, distances: Mapping[str, float], tolerances: Mapping[str, float], responses: Mapping[str, float]
) -> Verdict:
    tensor = max(distances, key=lambda name: distances[name] / tolerances[name])
    distance, tolerance = distances[tensor], tolerances[tensor]
    explained = known(job, distance) if distance > tolerance else None
    return Verdict(job, what, tensor, distance, tolerance, responses.get(tensor, math.nan), explained=explained)


def _distances(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], scale: Mapping[str, float]
) -> dict[str, float]:
    """Per tensor the largest difference over ``scale`` (over 1 where the scale is 0); inf where one is not finite."""
    distances = {}
    for name, values in expected.items():
        other = found.get(name)
        if other is None or other.shape != values.shape or not _same_holes(other, values):
            distances[name] = math.inf
            continue
        finite = np.isfinite(values)
        gap = float(np.abs(other[finite] - values[finite]).max(initial=0.0))
        distances[name] = gap / (scale[name] if 0 < scale[name] < math.inf else 1.0)
    return distances


def _relative(nudged: Record, moved: Mapping[str, float]) -> dict[str, float]:
    """Per tensor the reference's response to one unit in the last place, over how far the tensor moved."""
    found = {name: float(values[0]) for name, values in _tensors(nudged, "response").items()}
    return {name: value / (moved[name] if 0 < moved[name] < math.inf else 1.0) for name, value in found.items()}


def _same_holes(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.array_equal(np.isfinite(a), np.isfinite(b)))


def _tensors(record: Record, series: str) -> dict[str, np.ndarray]:
    rows = record.series(series)
    places, names = pd.factorize(rows["tensor"])
    values = rows["value"].to_numpy()
    return {str(name): values[places == place] for place, name in enumerate(names)}


def _question(job: Job, ulp: bool = False) -> tuple[str, str]:
    """What an agreement job and its reference share."""
    cell = replace(job.cell, backend="", implementation="exact", device="cpu", precision="float64", mode="default")
    assert isinstance(job.measure, Agreement)
    return key(cell), key(replace(job.measure, ulp=ulp or job.measure.ulp))


def _nothing(job: Job, reason: str, excused: bool = False) -> Verdict:
    return Verdict(job, "parameters", "", math.nan, math.nan, math.nan, reason, excused)


def _order(verdict: Verdict) -> tuple[bool, str]:
    return verdict.equal, verdict.job.cell.backend
