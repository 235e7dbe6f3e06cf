"""Cell = problem × recipe × budget × backend × implementation × device × precision × mode × seed: one training run."""

from typing import Annotated, Literal

from harness.errors import InvalidInput
from harness.spec.base import Count, Index, Spec, left_out
from harness.spec.problem import Problem
from harness.spec.recipe import Recipe
from harness.spec.stopping import Stopping, ToTheEnd


class Budget(Spec, frozen=True):
    """How long at most, and in which batches. Either ``steps`` or ``epochs``; ``batch`` is in samples, or "full".

    An epoch visits the training samples in a new order; its last, incomplete batch is dropped. ``stop`` may end it
    earlier.
    """

    steps: Annotated[Count | None, left_out("epochs are given", 1000)] = None
    epochs: Annotated[Count | None, left_out("steps are given", 10)] = None
    batch: Count | Literal["full"] = 32
    stop: Stopping = ToTheEnd()

    def check(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise InvalidInput("budget: give either steps or epochs")


class Cell(Spec, frozen=True):
    """One training run.

    ``exact`` computes the recipe's formula to rounding; ``shipped`` is what a user gets who writes these words in
    that framework. ``mode`` default is the backend's idiomatic way to run a step.
    """

    problem: Problem
    recipe: Recipe
    budget: Budget
    backend: str
    implementation: Literal["exact", "shipped"] = "exact"
    device: str = "cpu"
    precision: Literal["float32", "float64"] = "float32"
    mode: str = "default"
    seed: Index = 0


_TARGET = "the metric of the validation part that counts as solved, for functions the loss"


class Case(Spec, frozen=True):
    """A named entry of the catalogue: a problem with the recipe and budget that its source gives.

    In a file of a user's own, ``name`` is what reports call the problem. ``target`` is what counts as solved: the
    metric of the validation part, for functions the loss.
    """

    name: str
    about: str
    problem: Problem
    recipe: Recipe
    budget: Budget
    target: Annotated[float | None, left_out(f"none; {_TARGET}", 0.9)] = None

    def check(self) -> None:
        if not self.name.strip() or not self.name.isprintable():
            raise InvalidInput(f"case.name = {self.name!r}: reports call the problem so, give it a name in one line")
