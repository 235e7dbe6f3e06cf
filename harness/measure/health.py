"""How training goes inside: what observed steps were like, as series, and what windows of them say of the layers."""

import itertools
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from harness.backend import Floats, Integers, Steps, Trainer
from harness.errors import InvalidInput
from harness.measure import between, faults, heap
from harness.measure.convergence import evaluated, evaluation_moments
from harness.measure.curvature import Curvature
from harness.measure.feedback import Feedback
from harness.measure.identical import identical_units
from harness.measure.run import Outcome, Run, first_not_finite
from harness.measure.series import Series, series
from harness.observation import SIGNAL, Layout, Observed
from harness.problems.task import Task
from harness.spec.job import Health
from harness.spec.problem import Network
from harness.spec.recipe import Clip, GlobalNorm, NoClip, PerTensor, Recipe
from harness.spec.schedules import made

OF_NAMES = ("tensors", "layers", "active", "histograms")  # in ``Observed``, by the name of a quantity or layer
BLOCK = 256  # steps made before anybody looks whether their losses are finite
ADDING_UP = ("gradient_norm", "clipped_norm", "update_norm", "weight_norm")  # of all tensors: √Σ of their squares


def measure(run: Run, what: Health) -> Outcome:
    """Train to the budget's end, to where its rule stops, or to the first loss that is not finite, observing.

    Series ``loss`` and ``penalty`` of every step; ``plateau_factor`` at each step from which a plateau has the rate cut
    to so much of lr; of observed ones the quantities of ``harness.observation``, each
    tensor's and each layer's under its name, norms and ``cosine`` of all tensors together under none; ``update_ratio``,
    ‖Δw‖/‖w‖; ``clip_bound``, 1 where the clip changed the gradient, else 0. At level standard, at the last step of
    each window, of each layer: ``mean``, ``spread``, ``zeros`` and ``saturated`` over all its batches, and how many
    units are ``dead``: 0 for every sample and place of them; a window that is not full says nothing. Of each step of
    the gaps that ``measure.between`` looks into, each tensor's ``weight_norm_between`` and so on. At
    the evaluations ``loss/PART`` and ``metric/PART``, and of layers with units how many are ``identical`` to another.
    At level full those of ``measure.curvature``, and with the others of a window ``histogram``: the share of each
    layer's outputs in each bin of ``harness.observation``.
    """
    layout = Layout(run.task, what.level)
    refuse(what, run.task, run.cell.recipe, len(run.order))
    gone = _trained(run, what, layout)
    breaking = set() if gone.diverged is None else {max(gone.diverged - 1, 0), gone.diverged}
    if layout.layers and not breaking <= set(gone.at):
        gone = _trained(run, what, layout, frozenset(breaking))  # the same once more, to be looked at where it breaks
    found = gone.found
    with np.errstate(all="ignore"):  # what is not finite, and quotients of nothing, are to be seen
        found += of_tensors(gone.at, gone.seen, layout, run)
        if layout.layers:
            found += of_layers(gone.at, gone.seen, layout, what.window, run.order.shape[1])
        unlikely = between.unlikely(gone.at, gone.seen, layout, gone.factors)
    if unlikely:
        again = _trained(run, replace(what, level="standard"), layout, unlikely, max(unlikely))
        found += between.of_steps(again.at, again.seen, unlikely, layout)
    return Outcome(found, gone.diverged)


def refuse(what: Health, task: Task, recipe: Recipe, steps: int) -> None:
    """Refuse a window that so many steps have no room for, and faults without a place in them, before anything runs."""
    observed = -(-steps // what.every)
    if Layout(task, what.level).layers and what.window > observed:
        raise InvalidInput(
            f"health.window = {what.window}: the run has {observed} observed steps ({steps}, every {what.every}); "
            f"give a window of at most {observed}, or observe more often"
        )
    faults.refuse_misplaced(what.faults, task.shapes, recipe, steps)


class Gone(NamedTuple):
    """A run that has been trained through."""

    found: list[Series]  # all that needs no observed step
    at: Integers
    seen: Observed
    diverged: int | None
    factors: Floats  # of the rate, at each step of the budget


def _trained(
    run: Run, what: Health, layout: Layout, also: frozenset[int] = frozenset(), last: int | None = None
) -> Gone:
    """From the start to the end, or past the ``last`` step to see; ``also`` are observed beside every n-th."""
    trainer = run.trainer()
    curvature = Curvature(run, trainer) if what.level == "full" else None
    observing = Observing(trainer, what, also, curvature)
    feedback = Feedback(run, observing)
    moments = evaluation_moments(len(run.order), what.evaluations)
    found, blocks = looked_at(run, trainer, 0, layout), []
    for begin, end in itertools.pairwise(sorted({*moments, *(fault.step for fault in what.faults)})):
        faults.plant(tuple(fault for fault in what.faults if fault.step == begin), observing)
        blocks.append(feedback.train(begin, end))
        over = feedback.stopped is not None or not np.isfinite(blocks[-1].loss).all()
        if end in moments or over:
            found += looked_at(run, trainer, feedback.stopped or end, layout)
        if over or (last is not None and end > last):
            break
    losses, penalties = (np.concatenate([block[i] for block in blocks]) for i in (0, 1))
    found.append(series("loss", losses, np.arange(len(losses))))
    if penalties.any():
        found.append(series("penalty", penalties, np.arange(len(losses))))
    if feedback.stopped is not None:
        found.append(series("stopped", [feedback.stopped], [feedback.stopped]))
    diverged = first_not_finite(losses)
    cuts = [step for step, _ in feedback.cuts], [scale for _, scale in feedback.cuts]
    if feedback.cuts:
        found.append(series("plateau_factor", cuts[1], cuts[0]))
    until = len(run.order) if diverged is None else diverged
    at, seen = observing.until(until)
    if curvature is not None:
        found += curvature.until(until)
    return Gone(found, at, seen, diverged, made(run.cell.recipe.schedule, len(run.order), *cuts))


def looked_at(run: Run, trainer: Trainer, step: int, layout: Layout) -> list[Series]:
    """What is evaluated between two steps; with layers, whether their units are identical."""
    found = evaluated(run, trainer, step)
    if layout.layers and isinstance(run.task.problem, Network):
        of_units = identical_units(run.task.problem, run.task.inputs, trainer.parameters())
        found += [series("identical", [count], [step], name) for name, count in of_units.items()]
    return found


class Observing:
    """A trainer that observes every n-th of the steps that it is told to make, from the first on; ``also`` these."""

    def __init__(
        self, trainer: Trainer, what: Health, also: frozenset[int] = frozenset(), curvature: Curvature | None = None
    ) -> None:
        self.trainer, self.what, self.also, self.t = trainer, what, also, 0
        self.curvature, self.scale = curvature, 1.0
        self.at: list[int] = []
        self.seen: list[Observed] = []
        self.evaluate, self.parameters, self.place = trainer.evaluate, trainer.parameters, trainer.place
        heap.keep()

    def rescale(self, factor: float) -> None:
        """As the trainer's."""
        self.scale = factor
        self.trainer.rescale(factor)

    def train(self, order: Integers) -> Steps:
        """These steps, or as far as losses are finite."""
        begin, blocks = 0, [Steps(np.zeros(0), np.zeros(0), None)]
        while begin < len(order) and np.isfinite(blocks[-1].loss).all():
            blocks.append(self._some(order[begin : begin + BLOCK]))
            begin += len(blocks[-1].loss)
        loss, penalty = (np.concatenate([block[i] for block in blocks]) for i in (0, 1))
        return Steps(loss, penalty, None)

    def _some(self, rows: Integers) -> Steps:
        """All of these steps; where there is something to look at around one, that one, or those before it."""
        coming = np.arange(self.t, self.t + len(rows))
        which = (coming % self.what.every == 0) | np.isin(coming, list(self.also))
        if self.curvature is not None and which.any():
            first = int(np.argmax(which))
            rows, which = (rows[:first], which[:first]) if first else (rows[:1], which[:1])
        self.at += coming[: len(rows)][which].tolist()
        if not which.any():
            steps = self.trainer.train(rows)
        elif self.curvature is not None:
            self.seen.append(self.curvature.around(self.t, rows[0], self.scale))
            steps = Steps(self.seen[-1].loss, self.seen[-1].penalty, None)
        else:
            seen = self.trainer.observe(rows, self.what.level, which)
            self.seen.append(seen._replace(loss=seen.loss[which], penalty=seen.penalty[which]))
            steps = Steps(seen.loss, seen.penalty, None)
        self.t += len(rows)
        return steps

    def until(self, last: int) -> tuple[Integers, Observed]:
        """The observed steps up to that one, and what was seen of them."""
        at = np.array(self.at, dtype=np.int32)
        kept = at <= last

        def joined(of: str) -> dict[str, Floats]:
            each = [getattr(seen, of) for seen in self.seen]
            return {name: np.concatenate([one[name] for one in each])[kept] for name in each[0]}

        loss, penalty = (np.concatenate([getattr(seen, of) for seen in self.seen])[kept] for of in ("loss", "penalty"))
        return at[kept], Observed(loss, penalty, *(joined(of) for of in OF_NAMES))


def of_tensors(at: Integers, seen: Observed, layout: Layout, run: Run) -> list[Series]:
    """Each quantity of each tensor, and those of all together."""
    found, tensors = [], dict(seen.tensors)
    together = {name: np.sqrt(np.sum(tensors[name] ** 2, axis=1)) for name in ADDING_UP if name in tensors}
    if "cosine" in tensors:
        norms = tensors["gradient_norm"], together["gradient_norm"]
        before, all_before = (np.concatenate([np.full_like(one[:1], np.nan), one[:-1]]) for one in norms)
        products = tensors["cosine"] * norms[0] * before
        # A tensor without a gradient adds nothing.
        together["cosine"] = np.nansum(products, axis=1) / (norms[1] * all_before)
        tensors["update_ratio"] = tensors["update_norm"] / tensors["weight_norm"]
        together["update_ratio"] = together["update_norm"] / together["weight_norm"]
    together["clip_bound"] = bound(run.cell.recipe.clip, tensors["gradient_norm"], tensors["clipped_norm"], run)
    for quantity, values in tensors.items():
        found += [series(quantity, values[:, i], at, name) for i, name in enumerate(layout.parameters)]
    return found + [series(quantity, values, at) for quantity, values in together.items()]


def bound(clip: Clip, norms: Floats, clipped: Floats, run: Run) -> Floats:
    """1 where the clip changed the gradient; of clips that are not of norms, beyond what rounds away in a norm."""
    changed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    match clip:
        case NoClip():
            changed = np.zeros(norms.shape, dtype=bool)
        case GlobalNorm(c=c):
            changed = np.sqrt(np.sum(norms**2, axis=1, keepdims=True)) > c
        case PerTensor(c=c):
            changed = norms > c
        case _:
            rounding = 8 * float(np.finfo(run.cell.precision).eps)
            changed = np.abs(clipped - norms) > rounding * norms
    return np.asarray(changed.any(axis=1), dtype=np.float64)


def of_layers(at: Integers, seen: Observed, layout: Layout, window: int, batch: int) -> list[Series]:
    """Signals and what is not finite at each observed step; outputs and death of each full window."""
    found = []
    full = len(at) // window
    ends = at[window - 1 :: window][:full]
    mean, square, zeros, saturated = (
        values[: full * window].reshape(full, window, len(layout.layers)).mean(axis=1)
        for values in (seen.layers["mean"], seen.layers["norm"] ** 2, seen.layers["zeros"], seen.layers["saturated"])
    )
    for i, layer in enumerate(layout.layers):
        found.append(series("nonfinite", seen.layers["nonfinite"][:, i], at, layer.name))
        if layer.signal:
            found.append(series(SIGNAL, seen.layers[SIGNAL][:, i], at, layer.name))
        spread = np.sqrt(np.maximum(square[:, i] / (batch * layer.size) - mean[:, i] ** 2, 0.0))
        found.append(series("mean", mean[:, i], ends, layer.name))
        found.append(series("spread", spread, ends, layer.name))
        found.append(series("zeros", zeros[:, i], ends, layer.name))
        if layer.bounds is not None:
            found.append(series("saturated", saturated[:, i], ends, layer.name))
        if layer.units:
            active = seen.active[layer.name][: full * window].reshape(full, window, layer.units)
            found.append(series("dead", (active == 0).all(axis=1).sum(axis=1), ends, layer.name))
        if layer.name in seen.histograms:
            counted = seen.histograms[layer.name]
            shares = counted[: full * window].reshape(full, window, counted.shape[1]).mean(axis=1)
            found += [series("histogram", row, end, layer.name) for row, end in zip(shares, ends, strict=True)]
    return found
