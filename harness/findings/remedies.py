"""What helps against what was found: changes of a run, each a pure function with a name.

A remedy takes a run with a finding and gives the changed run, or None where it does not apply. A planted fault is part
of the run and stays in it, unless the remedy is what undoes it: weights that are drawn anew are not those that a fault
of step 0 made; a rate that was changed is set back; and for weights that something has changed on the way, the honest
remedy is to go back to those before (``restore``) and to train on without it, as from a checkpoint.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from harness.findings.finding import Finding, Kind
from harness.findings.rebuilt import Model, exchanged, normalised, renamed, residual
from harness.findings.seen import Seen
from harness.problems import task as tasks
from harness.spec.activations import (
    ACTIVATIONS,
    Elu,
    Exponential,
    Gelu,
    LeakyRelu,
    Mish,
    Relu,
    Selu,
    Sigmoid,
    Softplus,
    Swish,
    Tanh,
)
from harness.spec.architecture import places
from harness.spec.cell import Cell
from harness.spec.fault import Fault, Rate
from harness.spec.initialisations import Initialisation, Orthogonal, Scaled
from harness.spec.layers import LSTM, Layer, Shape, SimpleRNN
from harness.spec.optimizers import Adam
from harness.spec.problem import Network
from harness.spec.recipe import L1, L1L2, L2, GlobalNorm, NoClip, NoDecay, NoPenalty, Penalty
from harness.spec.schedules import Constant
from harness.spec.stopping import EarlyStopping, ToTheEnd

# Of the geometric middle of what runs that learn all there is come, in lengths of their weights (``small_steps``).
LENGTHS = 1.5
SMALLER = 100.0  # times: a penalty
SPENT = 0.25  # of lr, over the steps of a run: a schedule that leaves less of it has made most of them short
RECTIFIERS = (Relu, LeakyRelu, Elu, Gelu, Swish, Mish, Softplus, Exponential)


class Treated(NamedTuple):
    """A changed run."""

    cell: Cell
    faults: tuple[Fault, ...]


class Ill(NamedTuple):
    """A run with one finding, and what was observed that remedies go by."""

    cell: Cell
    faults: tuple[Fault, ...]
    finding: Finding
    inputs: Shape  # of one sample
    samples: int  # to train on
    steps: int  # that its budget pays for
    norm: float  # ‖g‖ before the finding, the median; NaN where none is finite
    moved: float  # Σ ‖Δw‖/‖w‖ over the run, as the mean of observed steps gives it; of too long ones, as the first
    near: int  # steps: how exactly the finding's first step is known
    scheduled: float  # of lr, what the schedule leaves over all steps

    @property
    def network(self) -> Network | None:
        """The problem, where it is one."""
        return self.cell.problem if isinstance(self.cell.problem, Network) else None

    def alike(self, fault: Fault) -> bool:
        """Whether a fault was planted where the finding begins."""
        return abs(fault.step - self.finding.step) <= self.near


Remedy = Callable[[Ill], Treated | None]


def ill(seen: Seen, finding: Finding) -> Ill:
    """A run with a finding of it."""
    gradient, ratio = seen.track("gradient_norm"), seen.track("update_ratio").values
    norms = gradient.before(finding.step) if finding.step > 0 else gradient.values
    norms, ratio = norms[np.isfinite(norms)], ratio[np.isfinite(ratio)]
    # What was too long at once says by its first step how long it was.
    a_step = ratio[:1] if finding.kind in ("step_too_large", "exploding", "non_finite") else ratio
    steps = tasks.total_steps(seen.task.samples, seen.cell.budget)
    return Ill(
        seen.cell,
        seen.measure.faults,
        finding,
        seen.task.inputs,
        seen.task.samples,
        steps,
        float(np.median(norms)) if norms.size else math.nan,
        float(np.mean(a_step)) * steps if a_step.size else math.nan,
        seen.measure.every * seen.measure.window,
        float(seen.factors.mean()) if seen.steps else 1.0,
    )


def names(seen: Seen, finding: Finding) -> tuple[str, ...]:
    """The remedies that apply to a finding, the likeliest first."""
    case = ill(seen, finding)
    return tuple(name for name in HELPS[finding.kind] if REMEDIES[name](case) is not None)


def treated(seen: Seen, finding: Finding, name: str) -> Treated | None:
    """The run with one remedy."""
    return REMEDIES[name](ill(seen, finding))


def initialisation(case: Ill) -> Treated | None:
    """Weights drawn as theory has it: those of step 0 as the problem says, or by what its activations ask for.

    He et al. 2015 for rectifiers, LeCun et al. 1998 for SELU, Glorot & Bengio 2010 for the others; orthogonal from
    state to state (Saxe et al. 2014).
    """
    network = case.network
    if network is None or case.finding.step > case.near:
        return None
    drawn = tuple(fault for fault in case.faults if fault.step > 0 or isinstance(fault, Rate))
    if drawn != case.faults:
        return Treated(case.cell, drawn)
    other = replace(network, initialisation=fitting(network.model), recurrent_initialisation=Orthogonal())
    return None if other == network else Treated(replace(case.cell, problem=other), case.faults)


def fitting(model: Model) -> Initialisation:
    """What theory gives for the activations of a model: for the most frequent."""
    kinds = [type(layer) for layer in _leaves(model) if isinstance(layer, ACTIVATIONS)]
    most = max(dict.fromkeys(kinds), key=kinds.count, default=Tanh)
    if most is Selu:
        return Scaled("lecun", "normal")
    return Scaled("he", "normal") if most in RECTIFIERS else Scaled("glorot", "uniform")


def _leaves(model: Model) -> Iterator[Layer]:
    for layer in model:
        inside = getattr(layer, "layers", ())
        yield from _leaves(inside) if inside else (layer,)


def restore(case: Ill) -> Treated | None:
    """Back to the weights before the finding's step, as from a checkpoint, and on without what changed them."""
    kept = tuple(f for f in case.faults if isinstance(f, Rate) or f.step == 0 or not case.alike(f))
    return Treated(case.cell, kept) if kept != case.faults else None


def normalisation(case: Ill) -> Treated | None:
    """Layer norms before the activations."""
    return _with_model(case, normalised)


def wrapped(case: Ill) -> Treated | None:
    """Residuals around layers of equal width."""
    return _with_model(case, lambda model: residual(model, case.inputs))


def activation(case: Ill) -> Treated | None:
    """Sigmoids become tanh, of slope 1 at 0; what may be all flat on one side keeps a slope there."""
    others: Mapping[type[Layer], Layer] = {
        Sigmoid: Tanh(),
        Softplus: Elu(),
        Exponential: Elu(),
        Relu: LeakyRelu(0.1),
    }
    return _with_model(case, lambda model: exchanged(model, lambda layer: others.get(type(layer), layer)))


def relu(case: Ill) -> Treated | None:
    """Sigmoids and tanh become ReLUs, with He's initialisation."""
    found = _with_model(
        case, lambda model: exchanged(model, lambda layer: Relu() if isinstance(layer, Sigmoid | Tanh) else layer)
    )
    if found is None or not isinstance(found.cell.problem, Network):
        return None
    he = replace(found.cell.problem, initialisation=Scaled("he", "normal"))
    return Treated(replace(found.cell, problem=he), found.faults)


def gates(case: Ill) -> Treated | None:
    """Simple recurrent layers become LSTMs (Hochreiter & Schmidhuber 1997)."""
    return _with_model(
        case,
        lambda model: exchanged(
            model, lambda layer: LSTM(layer.units, layer.sequences) if isinstance(layer, SimpleRNN) else layer
        ),
    )


def _with_model(case: Ill, change: Callable[[Model], Model]) -> Treated | None:
    """The run with another model; faults of its layers go with them."""
    network = case.network
    if network is None or (model := change(network.model)) == network.model:
        return None
    new = renamed(network.model, model, case.inputs)
    kept = [fault if isinstance(fault, Rate) else _moved(fault, new) for fault in case.faults]
    if any(fault is None for fault in kept):
        return None
    list(places(model, case.inputs))  # refuses what does not fit
    problem = replace(network, model=model)
    return Treated(replace(case.cell, problem=problem), tuple(fault for fault in kept if fault is not None))


def _moved(fault: Fault, new: Mapping[str, str]) -> Fault | None:
    if isinstance(fault, Rate) or fault.parameter not in new:
        return None
    return replace(fault, parameter=new[fault.parameter])


def clip(case: Ill) -> Treated | None:
    """By the global norm, at the median of those observed before (Pascanu, Mikolov & Bengio 2013)."""
    if not isinstance(case.cell.recipe.clip, NoClip) or not 0 < case.norm < math.inf:
        return None
    return _with_recipe(case, clip=GlobalNorm(float(f"{case.norm:.2g}")))


def no_clip(case: Ill) -> Treated | None:
    """No clip."""
    return None if isinstance(case.cell.recipe.clip, NoClip) else _with_recipe(case, clip=NoClip())


def no_penalty(case: Ill) -> Treated | None:
    """No penalty and no decay."""
    return _with_recipe(case, penalty=NoPenalty(), decay=NoDecay())


def less_penalty(case: Ill) -> Treated | None:
    """A penalty of a hundredth."""
    return _with_recipe(case, penalty=_less(case.cell.recipe.penalty))


def _less(penalty: Penalty) -> Penalty:
    match penalty:
        case L1() | L2():
            return replace(penalty, rate=penalty.rate / SMALLER)
        case L1L2():
            return replace(penalty, l1=penalty.l1 / SMALLER, l2=penalty.l2 / SMALLER)
        case _:
            return penalty


def penalty(case: Ill) -> Treated | None:
    """λΣw² with λ = 0.001, where there is no penalty."""
    free = isinstance(case.cell.recipe.penalty, NoPenalty)
    return _with_recipe(case, penalty=L2(1e-3)) if free else None


def adam(case: Ill) -> Treated | None:
    """Adam at its paper's rate, which does not depend on the gradients' size."""
    return _with_recipe(case, optimizer=Adam())


def rate_default(case: Ill) -> Treated | None:
    """The rate that this optimizer is published or shipped with."""
    return _with_rate(case, type(case.cell.recipe.optimizer)().lr)


def rate_by_length(case: Ill) -> Treated | None:
    """A rate by which the weights come 1.5 times their own length over the run, by how far steps came."""
    if not 0 < case.moved < math.inf:
        return None
    return _with_rate(case, case.cell.recipe.optimizer.lr * LENGTHS / case.moved)


def no_schedule(case: Ill) -> Treated | None:
    """The rate as it is to the end, where the schedule leaves little of it."""
    return _with_recipe(case, schedule=Constant()) if case.scheduled < SPENT else None


def rate_times(factor: float) -> Remedy:
    """A rate so many times as large; one that something has changed on the way is set back."""

    def remedy(case: Ill) -> Treated | None:
        if any(isinstance(fault, Rate) and case.alike(fault) for fault in case.faults):
            return None  # see rate_restored
        return _with_rate(case, case.cell.recipe.optimizer.lr * factor)

    return remedy


def rate_restored(case: Ill) -> Treated | None:
    """A rate that something has changed on the way, set back to what the schedule says."""
    kept = tuple(fault for fault in case.faults if not (isinstance(fault, Rate) and case.alike(fault)))
    return Treated(case.cell, kept) if kept != case.faults else None


def _with_rate(case: Ill, rate: float) -> Treated | None:
    return _with_recipe(case, optimizer=replace(case.cell.recipe.optimizer, lr=float(f"{rate:.2g}")))


def _with_recipe(case: Ill, **pieces: object) -> Treated | None:
    recipe = replace(case.cell.recipe, **pieces)
    return None if recipe == case.cell.recipe else Treated(replace(case.cell, recipe=recipe), case.faults)


def precision(case: Ill) -> Treated | None:
    """Float64."""
    return None if case.cell.precision == "float64" else Treated(replace(case.cell, precision="float64"), case.faults)


def early_stopping(case: Ill) -> Treated | None:
    """Training ends when the validation loss has not fallen for five of fifty looks."""
    if not isinstance(case.cell.budget.stop, ToTheEnd):
        return None
    stop = EarlyStopping(patience=5, every=max(case.steps // 50, 1))
    return Treated(replace(case.cell, budget=replace(case.cell.budget, stop=stop)), case.faults)


def more_data(case: Ill) -> Treated | None:
    """All training samples that there are, where the problem takes some of them only."""
    network = case.network
    if network is None or network.data.training is None:
        return None
    problem = replace(network, data=replace(network.data, training=None))
    return Treated(replace(case.cell, problem=problem), case.faults)


def batch(case: Ill) -> Treated | None:
    """Batches of four times as many samples: half the noise of a gradient (McCandlish et al. 2018)."""
    now = case.cell.budget.batch
    if now == "full" or 4 * now > case.samples:
        return None
    return Treated(replace(case.cell, budget=replace(case.cell.budget, batch=4 * now)), case.faults)


REMEDIES: Mapping[str, Remedy] = {
    "initialisation": initialisation,
    "restore": restore,
    "normalisation": normalisation,
    "residual": wrapped,
    "activation": activation,
    "relu": relu,
    "gates": gates,
    "clip": clip,
    "no_clip": no_clip,
    "no_penalty": no_penalty,
    "less_penalty": less_penalty,
    "penalty": penalty,
    "adam": adam,
    "rate_restored": rate_restored,
    "no_schedule": no_schedule,
    "rate_by_length": rate_by_length,
    "rate_default": rate_default,
    **{f"rate_over_{by}": rate_times(1 / by) for by in (3, 10, 30, 100)},
    **{f"rate_times_{by}": rate_times(by) for by in (3, 10, 100, 1000)},
    "precision": precision,
    "early_stopping": early_stopping,
    "more_data": more_data,
    "batch": batch,
}
_LOWER = ("rate_over_10", "rate_over_3", "rate_over_30", "rate_over_100")
_HIGHER = ("rate_times_10", "rate_times_3", "rate_times_100", "rate_times_1000")
# What helps against each kind: what undoes the cause first, then what takes it.
HELPS: Mapping[Kind, tuple[str, ...]] = {
    "vanishing": ("restore", "initialisation", "activation", "residual", "normalisation", "gates", "relu", "adam"),
    "exploding": ("restore", "initialisation", "clip", "normalisation", "gates", "rate_over_10", "adam"),
    "non_finite": ("restore", "clip", "rate_over_10", "initialisation", "normalisation", "adam", "precision"),
    "dead_units": ("restore", "initialisation", "activation", "normalisation", "rate_over_10", "adam"),
    "saturation": ("restore", "initialisation", "normalisation", "activation", "relu", "rate_over_10", "adam"),
    "frozen": ("no_schedule", "rate_default", "adam", "rate_times_1000", "precision"),
    "poor_initialisation": ("initialisation", "restore", "normalisation", "adam"),
    "step_too_large": ("rate_restored", "rate_by_length", *_LOWER, "rate_default", "clip", "adam"),
    "step_too_small": ("rate_restored", "no_schedule", "rate_by_length", *_HIGHER, "rate_default", "adam"),
    "clip_always_binds": ("no_clip", "adam", "rate_times_10", "rate_times_100"),
    "clip_never_binds": ("no_clip",),
    "lost_in_noise": ("batch", "rate_over_10"),
    "over_fitting": ("more_data", "early_stopping", "penalty"),
    "identical_units": ("initialisation", "restore"),
    "penalty_dominates": ("no_penalty", "less_penalty"),
}
