"""The shape of the loss at a step, and the noise of its gradient: what level ``full`` sees around a step.

All of it is of the step's own batch and of the parameters before its update, of loss + penalty, in training mode with
the dropout masks of that step. The algorithm is the harness's and the same for all backends, which give the products
Hv (``backend.Trainer.curvature``): so what they find differs by rounding alone.

- ``sharpness``: the algebraically largest eigenvalue of H, whose limit is ``harness.health.stability`` (Cohen et al.
  2021). By Lanczos, from the vector found at the step observed before, a tenth of a new random one beside it: what
  has grown meanwhile is not orthogonal to that. ``sharpness_residual`` says how far it is from an eigenvalue.
- ``sharpness_rate``: that times η, the schedule and all cuts of the rate included.
- ``overshoot``: r = ΔwᵀHΔw/(−gᵀΔw) of the step Δw that was made, whatever made it. Along it the quadratic model of the
  loss is −gᵀΔw·(−s + ½rs²) at the share s of the step: r = 1 ends at its least, r > 2 above where it began; gradient
  descent along an eigenvector has r = ηλ. Not positive or infinite where the step does not go down the gradient. H is
  taken when the step is made: of a network with dropout, under the masks of the step that comes.
- ``noise_small``: the mean of |g|² of the two halves of the batch; ``noise_large``: |g|² of the mean of both, of which
  ``harness.health.noise`` makes the gradient's signal and noise, with batches of ⌊B/2⌋ and 2⌊B/2⌋. Of an odd batch the
  last sample is left out; a batch of one has no halves. A batch norm normalises each half by itself: what is estimated
  then is the noise of batches of half the size, each as one sample would be. Dropout's masks add to the noise.
"""

import numpy as np

from harness.backend import Floats, Integers, Parameters, Trainer
from harness.measure.lanczos import largest, length
from harness.measure.run import Run
from harness.measure.series import Series, series
from harness.observation import Observed
from harness.problems.task import Task
from harness.spec.architecture import places
from harness.spec.layers import BatchNorm, Dropout
from harness.spec.problem import Network
from harness.spec.schedules import factors

TOLERANCE = 0.02  # of the residual: θ is then off by some 4e-4 of itself where the next eigenvalue is not near
MOST = 12  # products with H for one eigenvalue
NEW = 0.1  # of a random vector, in the start of the next


class Curvature:
    """What is seen around the observed steps of one run."""

    def __init__(self, run: Run, trainer: Trainer) -> None:
        self.run, self.trainer = run, trainer
        self.factors = factors(run.cell.recipe.schedule, len(run.order))
        self.separable = separable(run.task)
        self.top: Floats | None = None
        self.steps: list[int] = []
        self.found: dict[str, list[float]] = {}

    @np.errstate(all="ignore")  # what is not finite is to be seen
    def around(self, t: int, row: Integers, scale: float) -> Observed:
        """Observe the step ``t``, whose η is ``scale`` times the schedule's, and look at where it was made."""
        trainer = self.trainer
        before = trainer.parameters()
        sharpness, residual = self._sharpness(t, row)
        halves = self._halves(row)
        even = self.separable and not len(row) % 2
        gradient = (halves[0] + halves[1]) / 2 if even else joined(trainer.gradients(row))
        seen = trainer.observe(row[None], "full")
        after = trainer.parameters()
        delta = joined(after) - joined(before)
        trainer.place(before)
        bent = self._product(row, delta)
        trainer.place(after)
        rate = self.run.cell.recipe.optimizer.lr * float(self.factors[t]) * scale
        self.steps.append(t)
        for name, value in {
            "sharpness": sharpness,
            "sharpness_residual": residual,
            "sharpness_rate": sharpness * rate,
            "overshoot": float(np.divide(delta @ bent, -(gradient @ delta))),
            **noise(halves),
        }.items():
            self.found.setdefault(name, []).append(value)
        return seen

    def until(self, last: int) -> list[Series]:
        """Its series, up to that step."""
        kept = [i for i, t in enumerate(self.steps) if t <= last]
        return [
            series(name, [values[i] for i in kept], [self.steps[i] for i in kept])
            for name, values in self.found.items()
        ]

    def _sharpness(self, t: int, row: Integers) -> tuple[float, float]:
        """The largest eigenvalue and its residual."""
        size = sum(w.size for w in self.run.start.values())
        new = np.random.default_rng([self.run.cell.seed, t]).random(size) - 0.5
        new = new.astype(self.run.cell.precision)
        start = new if self.top is None else self.top + (NEW / length(new)) * new
        top = largest(lambda v: self._product(row, v), start, TOLERANCE, MOST)
        if np.isfinite(top.vector).all():
            self.top = top.vector
        return top.value, top.residual

    def _halves(self, row: Integers) -> list[Floats]:
        """The gradients of the two halves of a batch, if it has any."""
        half = len(row) // 2
        return [joined(self.trainer.gradients(part)) for part in (row[:half], row[half : 2 * half]) if half]

    def _product(self, row: Integers, vector: Floats) -> Floats:
        """Hv, all parameters in one vector."""
        return joined(self.trainer.curvature(row, apart(vector, self.run.start)))


def separable(task: Task) -> bool:
    """Whether a batch's gradient is the mean of its halves': no sample has a part in another, or a mask."""
    problem = task.problem
    if not isinstance(problem, Network) or problem.loss.reduction != "mean":
        return False
    return not any(isinstance(place.layer, BatchNorm | Dropout) for place in places(problem.model, task.inputs))


def noise(halves: list[Floats]) -> dict[str, float]:
    """What the gradients of two halves say of its noise."""
    if not halves:
        return {}
    mean = (halves[0] + halves[1]) / 2
    return {"noise_small": float(np.mean([g @ g for g in halves])), "noise_large": float(mean @ mean)}


def joined(parameters: Parameters) -> Floats:
    """All parameters in one vector."""
    return np.concatenate([w.ravel() for w in parameters.values()])


def apart(vector: Floats, like: Parameters) -> Parameters:
    """The vector as tensors of the shapes of ``like``."""
    pieces = np.split(vector, np.cumsum([w.size for w in like.values()])[:-1])
    return {name: piece.reshape(w.shape) for piece, (name, w) in zip(pieces, like.items(), strict=True)}
