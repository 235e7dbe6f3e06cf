"""Job = cell × what is measured × environment: what one record answers."""

from typing import Literal, get_args

from harness.errors import InvalidInput
from harness.spec.base import Count, Index, Piece, Positive, Spec
from harness.spec.cell import Cell
from harness.spec.fault import Fault
from harness.spec.recipe import NoClip, NoPenalty, Recipe

# What is observed of a step: losses and norms; or updates, precision, activations and signals as well; or the loss's
# curvature and the gradient's noise beside them.
Level = Literal["minimal", "standard", "full"]
LEVELS: tuple[Level, ...] = get_args(Level)
Status = Literal["ok", "diverged", "failed", "timeout", "unsupported"]
FINAL: frozenset[Status] = frozenset(("ok", "diverged", "unsupported"))  # the others run again with --retry


class Agreement(Piece, frozen=True, tag="agreement"):
    """Gradients of the first batch at the start, and the parameters after the budget's steps.

    ``ulp`` asks how far the end moves when every initial value moves to its neighbour: of the reference, the yardstick
    of what rounding alone may do.
    """

    gradients: bool = True
    ulp: bool = False


class Convergence(Piece, frozen=True, tag="convergence"):
    """Loss of every step; loss and metric of every part at ``evaluations`` moments; norms every few steps."""

    evaluations: Count = 10
    norms_every: Count = 5


class Health(Piece, frozen=True, tag="health"):
    """What every ``every``-th step is like: its gradients, updates, activations and signals (``measure.health``).

    At level ``standard``, dead units and moments of activations are of ``window`` observed batches in a row: one
    batch that leaves a unit at 0 does not show that it is dead. ``evaluations`` moments divide the run; at each, and
    at its start, all parts of the data are evaluated and identical units are looked for. ``faults`` are planted.
    Level ``full`` costs some twenty gradients at each observed step (``measure.curvature``).
    """

    level: Level = "standard"
    every: Count = 10
    window: Count = 10
    evaluations: Count = 5
    faults: tuple[Fault, ...] = ()


class Speed(Piece, frozen=True, tag="speed"):
    """Seconds of ``blocks`` blocks of steps, each of about ``block_seconds``, after steps that warm up.

    These are at least ``warm_up`` and a quarter of a block's, at most as many as it has. Of whole steps, or of one
    ``phase`` of them (``backend.Trainer.phase``). Blocks are short and many: what disturbs one lasts longer than it,
    and spares others. All of it in ``processes`` new processes, one after the other: each draws addresses anew, which
    its blocks share.
    """

    blocks: Count = 6
    block_seconds: Positive = 0.02
    warm_up: Index = 20
    phase: Literal["step", "forward", "gradient", "penalty", "clip", "update"] = "step"
    processes: Count = 4


class FirstCall(Piece, frozen=True, tag="first_call"):
    """Seconds to import, build, and make the first and second step, in a new process each time."""

    processes: Count = 1


class Memory(Piece, frozen=True, tag="memory"):
    """The most bytes that ``steps`` steps take above what was there before, in a new process."""

    steps: Count = 20


Measure = Agreement | Convergence | Health | Speed | FirstCall | Memory
COLD = (FirstCall, Memory)  # these get a new process each
TIMED = (Speed, *COLD)  # these get the machine to themselves


class Environment(Spec, frozen=True):
    """What a number depends on beside the cell."""

    python: str  # version of the interpreter
    packages: dict[str, str]  # distribution → version
    code: str  # hash of the sources that compute and measure
    data: str  # hash of the problem's data
    machine: str  # processor and cores
    threads: Count
    flags: dict[str, str]  # environment variables that the worker is started with


class Job(Spec, frozen=True):
    """One question; its key names the record that answers it."""

    cell: Cell
    measure: Measure
    environment: Environment

    def check(self) -> None:
        if isinstance(self.measure, Speed):
            check_phase(self.measure.phase, self.cell.recipe)


def check_phase(phase: str, recipe: Recipe) -> None:
    """Refuse to time a clip or penalty that the recipe does not have."""
    missing = {"penalty": isinstance(recipe.penalty, NoPenalty), "clip": isinstance(recipe.clip, NoClip)}
    if missing.get(phase):
        raise InvalidInput(f"speed.phase = {phase!r}: the recipe has no {phase} that could be timed")
