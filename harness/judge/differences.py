"""Known differences: reviewed data, each with its measured size, its cause and a reference."""

import functools
from importlib import resources
from typing import Literal

import msgspec

from harness.spec.base import Positive, Spec
from harness.spec.job import Job
from harness.spec.spellings import optimizer_name

FILE = "known_differences.toml"


class Difference(Spec, frozen=True):
    """Where a backend is not equal to the reference. What is left out of the place matches everything."""

    backend: str
    size: Positive  # the largest distance that was measured
    cause: str
    reference: str  # where it is documented or discussed
    implementation: Literal["exact", "shipped"] = "exact"
    optimizer: str | None = None
    clip: str | None = None
    penalty: str | None = None
    schedule: str | None = None
    precision: str | None = None

    def covers(self, job: Job, distance: float) -> bool:
        """Whether this entry explains a distance: the right place, and at most twice the size measured."""
        recipe = job.cell.recipe
        place = (
            (self.backend, job.cell.backend),
            (self.implementation, job.cell.implementation),
            (self.optimizer, optimizer_name(recipe)),
            (self.clip, recipe.clip.spelling()),
            (self.penalty, recipe.penalty.spelling()),
            (self.schedule, recipe.schedule.spelling()),
            (self.precision, job.cell.precision),
        )
        return all(asked in (None, found) for asked, found in place) and distance <= 2 * self.size


class Differences(Spec, frozen=True):
    """The file's content."""

    difference: tuple[Difference, ...] = ()


@functools.cache
def reviewed() -> tuple[Difference, ...]:
    """All entries of the file."""
    text = resources.files("harness.judge").joinpath(FILE).read_text()
    return msgspec.toml.decode(text, type=Differences).difference


def known(job: Job, distance: float) -> Difference | None:
    """The entry that explains a distance, if one does."""
    return next((entry for entry in reviewed() if entry.covers(job, distance)), None)
