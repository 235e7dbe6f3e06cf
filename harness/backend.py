"""The protocol between the harness and a framework, and nothing beyond it.

A backend is *declared* without importing its framework (``Declaration``), *opened* inside a worker process
(``Backend``) and asked for a ``Trainer``, which holds one training run: parameters, data on the device, optimizer
state, compiled code. A trainer does arithmetic; what is measured, when and how often is the harness's business.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal, NamedTuple, Protocol

import numpy as np

from harness.observation import Marks, Observed
from harness.problems.task import Task
from harness.spec.cell import Cell
from harness.spec.job import Level

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int, ...], np.dtype[np.int32]]
Parameters = Mapping[str, Floats]  # name → values in the canonical layout, float64 where nothing else is said


class Origin(NamedTuple):
    """Where one piece of a run comes from: the framework's own, or built from its primitives, and why."""

    how: Literal["native", "composed"]
    by: str  # what computes it: "torch.optim.Adam", or the formula's name when composed
    why: str = ""  # for composed: what the framework lacks; for shipped: where its formula is another


Plan = Mapping[str, Origin]  # piece ("optimizer", "clip", "penalty", "decay", "schedule", "model", "loss") → origin


class Steps(NamedTuple):
    """What a block of training steps gave, on the host."""

    loss: Floats  # (steps,) before each update, without the penalty
    penalty: Floats  # (steps,) zeros where the recipe has none
    norms: Floats | None  # (steps, parameters) L2 norm of each gradient tensor of loss + penalty before the clip


class Evaluation(NamedTuple):
    """Loss and metric over one whole part of the data."""

    loss: float
    metric: float | None  # accuracy or R²; None for analytic functions


# A stretch of the training step that can be timed by itself.
Phase = Literal["step", "forward", "gradient", "penalty", "clip", "update"]


class Work(NamedTuple):
    """A computation of a size that the harness chooses, cut in two where an asynchronous framework would cut it.

    So that the harness can see what a clock without a fence would have said (``measure.clock``).
    """

    start: Callable[[int], object]  # begins a chain of so many matrix products; may return before they are made
    fence: Callable[[object], object]  # given what ``start`` gave, returns when they are


class Trainer(Protocol):
    """One training run. Every method returns after the device has finished (it fences)."""

    def train(self, order: Integers) -> Steps:
        """Make one update for each row of ``order``, shape (steps, batch): indices of training samples."""
        ...

    def observe(self, order: Integers, level: Level, which: Marks | None = None) -> Observed:
        """Make the steps that ``train`` would make of ``order``, and tell what those of ``which`` (all) were like.

        ``which``, shape (steps,), marks some of them; the others are plain steps, and losses and penalties are given of
        all. From the steps' own forward and backward, reduced on the device and fetched once. The parameters after it
        are those that ``train`` leaves to the last bit; to rounding where operations are fused that nobody looks
        between (JAX, TensorFlow's graphs, torch's ``compile``, whose loss is observed eagerly). ``train`` pays nothing
        for it.
        """
        ...

    def phase(self, name: Phase, order: Integers) -> Callable[[], None]:
        """A function that goes through one phase of the step once for each row of ``order``, and fences.

        "step": all of it, as ``train``. "forward": loss + penalty in training mode. "gradient": that and backward.
        "penalty": its value and gradient alone. "clip" and "update" (decay, schedule and optimizer, without the clip)
        work on gradients that are held: those of the first row. Whatever is not the phase itself (gradients, device
        copies, compiling where it can be asked for) is done here, before the function is handed out. The recipe has a
        penalty or clip where one is asked for (``measure.speed`` sees to it). Raises ``Unsupported`` with the reason.
        """
        ...

    def state_bytes(self) -> int:
        """Bytes of what the optimizer keeps from step to step, on the device, without parameters and gradients."""
        ...

    def gradients(self, indices: Integers) -> Parameters:
        """∇(loss + penalty) on one batch at the present parameters, before the clip; changes nothing."""
        ...

    def curvature(self, indices: Integers, vector: Parameters) -> Parameters:
        """Hv: the Hessian of loss + penalty on one batch at the present parameters, times a vector; changes nothing.

        In the run's precision and training mode, with the dropout masks of ``gradients``; exact, not by differences.
        Where a kink makes the gradient jump (ReLU, a maximum, |w|) the slope beside it is taken. Raises
        ``Unsupported`` with the reason.
        """
        ...

    def evaluate(self, part: str) -> Evaluation:
        """Loss and metric on "training", "validation" or "test", in inference mode; changes nothing.

        At the parameters that the optimizer evaluates at: a schedule-free one, at its mean.
        """
        ...

    def parameters(self) -> Parameters:
        """The present parameters: those at which gradients are taken."""
        ...

    def place(self, parameters: Parameters) -> None:
        """Put these in the place of the present parameters, and leave all else as it is: what the optimizer keeps too.

        So a fault is planted. An optimizer that keeps the parameters' own past (schedule-free) goes on from that.
        """
        ...

    def rescale(self, factor: float) -> None:
        """From the next step on, η is ``factor`` times what the schedule gives; 1 after a reset."""
        ...

    def reset(self, start: Parameters) -> None:
        """Back to step 0 at ``start``: as newly built, but for compiled code."""
        ...


class Backend(Protocol):
    """A framework, opened in this process."""

    def __init__(self, threads: int) -> None:
        """Import the framework and have it use ``threads`` threads."""
        ...

    def versions(self) -> Mapping[str, str]:
        """The framework's modules and their own ``__version__``: checked against the fingerprint."""
        ...

    def facts(self) -> Mapping[str, str]:
        """What stands beside every number: device, threads as the framework reports them, BLAS, flags."""
        ...

    def work(self, device: str, size: int) -> Work:
        """Products of square float32 matrices of that size. Raises ``Unsupported`` where there is no such device."""
        ...

    def plan(self, cell: Cell, parameters: tuple[str, ...]) -> Plan:
        """Where each piece of the cell comes from. Raises ``Unsupported`` with the reason."""
        ...

    def peak_bytes(self, device: str) -> int | None:
        """The most memory in use on ``device`` since this was asked last; None on the host, which is not asked here.

        Of what the framework's own allocator gave to arrays: neither what it holds back nor the driver's context.
        """
        ...

    def trainer(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> Trainer:
        """A trainer at ``start`` whose schedule spans ``steps``; with ``observe`` it returns gradient norms."""
        ...


class Addition(NamedTuple):
    """What one device needs beside what its backend needs everywhere."""

    any_of: tuple[str, ...]  # distributions, of which one must be installed; the extra installs the first
    extra: str  # of gradgauge


@dataclass(frozen=True)
class Declaration:
    """All that is known of a backend without importing its framework."""

    name: str
    title: str
    opens: str  # "module:Class" of the Backend
    requires: tuple[str, ...] = ()  # distributions that must be installed; their versions are in the fingerprint
    extra: str = ""  # the extra of gradgauge that installs them
    devices: tuple[str, ...] = ("cpu",)
    additions: Mapping[str, Addition] = field(default_factory=dict)  # device → what it needs beside ``requires``
    modes: tuple[str, ...] = ("eager",)  # the first is the default
    compiles: str = "nothing"  # what the first call compiles, in words for the report
    precisions: tuple[str, ...] = ("float32", "float64")
    timed: bool = True
    flags: Mapping[str, str] = field(default_factory=dict)  # environment variables, {threads} filled in

    def open(self, threads: int) -> Backend:
        """Import the framework and open the backend."""
        module, _, name = self.opens.partition(":")
        backend: Backend = getattr(import_module(module), name)(threads)
        return backend

    def environment(self, threads: int) -> dict[str, str]:
        """The variables that a worker of this backend is started with."""
        return {name: value.format(threads=threads) for name, value in self.flags.items()}
