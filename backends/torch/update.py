"""From the gradient to the new weights: clip, decay, optimizer, rate, in the normative order."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from backends.torch import clips, decays, modes, optimizers, schedules
from backends.torch.composed import Composed
from harness.spec.cell import Cell
from harness.spec.recipe import Coupled, Decoupled, NoDecay, touched


class Update:
    """One update of the parameters from their gradients; knows the step it is at."""

    def __init__(self, cell: Cell, named: dict[str, nn.Parameter], steps: int) -> None:
        self.recipe, self.exact = cell.recipe, cell.implementation == "exact"
        recipe, exact = self.recipe, self.exact
        self.clip = clips.clipper(recipe.clip, exact, named)
        decay = recipe.decay
        decayed = [] if isinstance(decay, NoDecay) else [named[n] for n in touched(decay.on, named)]
        own_decay = decays.is_native(cell) or decays.is_inside(cell)
        self.decayed_outside = [] if own_decay else decayed
        groups = decays.groups(recipe, list(named.values()), decayed if own_decay else [])
        groups = [group | modes.kernel(cell) for group in groups]
        self.native = optimizers.origin(cell).how == "native"
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (
            optimizers.native(recipe.optimizer, groups, exact, decoupled=own_decay and isinstance(decay, Decoupled))
            if self.native
            else (Composed(recipe.optimizer, groups, named),)
        )
        self.groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        lr = recipe.optimizer.lr
        composed = schedules.origin(recipe.schedule, exact, steps).how == "composed"
        self.rates = schedules.table(recipe.schedule, steps, lr) if composed else None
        self.schedulers = [] if composed else schedules.shipped(recipe.schedule, self.optimizers, steps, lr)
        # Taken last: a scheduler puts a step of its own, which counts, in the place of the optimizer's.
        compiled = cell.mode == modes.COMPILED
        self.steps = [torch.compile(o.step) if compiled else o.step for o in self.optimizers]
        self.t, self.scale = 0, 1.0

    def rescale(self, factor: float) -> None:
        """From the next step on, η is ``factor`` times what the schedule gives."""
        if self.native and self.exact:
            for optimizer in self.optimizers:
                optimizers.rescale(optimizer, self.recipe.optimizer, factor / self.scale)
        self.scale = factor

    def restart(self) -> None:
        """Back to step 0 without a new optimizer, for which a compiled step would be compiled anew."""
        self.rescale(1.0)
        self.t = 0
        for optimizer in self.optimizers:
            modes.refresh(optimizer)

    def __call__(self) -> None:
        """Clip, update, and forget the gradients."""
        if self.clip is not None:
            self.clip()
        self.apply()
        self.forget()

    def forget(self) -> None:
        """Let the gradients go."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def apply(self) -> None:
        """Update by the gradients as they are."""
        if self.rates is not None:
            for group in self.groups:
                group["lr"] = self.rates[self.t]
        if self.scale == 1.0:
            self._step()
        else:
            scheduled = [group["lr"] for group in self.groups]
            for group in self.groups:
                group["lr"] *= self.scale
            self._step()
            for group, eta in zip(self.groups, scheduled, strict=True):
                group["lr"] = eta
        for schedule in self.schedulers:
            schedule()
        self.t += 1

    def _step(self) -> None:
        if self.decayed_outside:
            self._decay_and_step()
            return
        for step in self.steps:
            step()

    @torch.no_grad()
    def _decay_and_step(self) -> None:
        """g + λw before the optimizer, or w − Δ − ηλw of the old w around it: Δ too may depend on w."""
        decay, eta = self.recipe.decay, self.groups[0]["lr"]
        weights: list[Tensor] = list(self.decayed_outside)
        taken: tuple[Tensor, ...] = ()
        match decay:
            case Coupled(rate=rate):
                torch._foreach_add_([w.grad for w in weights if w.grad is not None], weights, alpha=rate)
            case Decoupled(rate=rate, scaled_by=scaled_by):
                scale = eta if scaled_by == "rate" else eta / self.recipe.optimizer.lr
                taken = torch._foreach_mul(weights, rate * scale)
            case NoDecay():
                pass
        for step in self.steps:
            step()
        if taken:
            torch._foreach_sub_(weights, taken)

    @contextmanager
    @torch.no_grad()
    def evaluated(self) -> Iterator[None]:
        """The parameters, for the while, where the optimizer has the network evaluated: x of a schedule-free one."""
        means = {w: x for o in self.optimizers if isinstance(o, Composed) for w, x in o.means().items()}
        kept = [w.clone() for w in means]
        for w, x in means.items():
            w.copy_(x)
        try:
            yield
        finally:
            for w, values in zip(means, kept, strict=True):
                w.copy_(values)

    def state_bytes(self) -> int:
        """What the optimizers keep from step to step."""
        states = [state for optimizer in self.optimizers for state in optimizer.state.values()]
        return sum(tensor.nbytes for tensor in _tensors(states))


def _tensors(tree: object) -> Iterator[Tensor]:
    match tree:
        case Tensor():
            yield tree
        case dict():
            for value in tree.values():
                yield from _tensors(value)
        case list() | tuple():
            for value in tree:
                yield from _tensors(value)
