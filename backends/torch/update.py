"""From the gradient to the new weights: clip, decay, optimizer, rate, in the normative order."""

from torch import nn

from backends.torch import clips, decays, optimizers, schedules
from harness.spec.cell import Cell
from harness.spec.recipe import Decoupled, NoDecay, touched


class Update:
    """One update of the parameters from their gradients; knows the step it is at."""

    def __init__(self, cell: Cell, named: dict[str, nn.Parameter], steps: int) -> None:
        recipe, exact = cell.recipe, cell.implementation == "exact"
        self.decay, self.lr = recipe.decay, recipe.optimizer.lr
        self.parameters = list(named.values())
        self.clip = clips.clipper(recipe.clip, exact)
        decayed = [] if isinstance(self.decay, NoDecay) else [named[n] for n in touched(self.decay.on, named)]
        own_decay = decays.is_native(recipe, exact)
        self.decayed_outside = [] if own_decay else decayed
        self.native = optimizers.origin(recipe, exact).how == "native"
        self.optimizer = (
            optimizers.native(
                recipe.optimizer,
                decays.groups(self.decay, self.parameters, decayed if own_decay else []),
                decoupled=own_decay and isinstance(self.decay, Decoupled),
            )
            if self.native
            else optimizers.Composed(recipe.optimizer, self.parameters)
        )
        own_schedule = self.native and not exact
        self.scheduler = schedules.shipped(recipe.schedule, self.optimizer, steps) if own_schedule else None
        self.rates = None if own_schedule else schedules.table(recipe.schedule, steps, self.lr)
        self.t = 0

    def __call__(self) -> None:
        """Update, and forget the gradients."""
        if self.rates is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = self.rates[self.t]
        if self.clip is not None:
            self.clip(self.parameters)
        if self.decayed_outside:
            decays.apply(self.decay, self.decayed_outside, self.optimizer.param_groups[0]["lr"], self.lr)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.scheduler is not None:
            self.scheduler()
        self.t += 1
