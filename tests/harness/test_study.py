"""Studies: overriding, expanding, counting."""

import pytest
from msgspec.structs import replace

from harness.errors import InvalidInput
from harness.spec.job import Agreement, Speed
from harness.studies import STUDIES, agreement, quickstart
from harness.study import cells, overridden, select


def test_steps_replace_epochs_and_the_other_way_round():
    steps = overridden(quickstart(), steps=7)
    assert {(grid.steps, grid.epochs) for grid in steps.grids} == {(7, None)}
    epochs = overridden(quickstart(), epochs=2)
    assert {(grid.steps, grid.epochs) for grid in epochs.grids} == {(None, 2)}
    assert {cell.budget.steps for grid in steps.grids for cell in cells(grid)} == {7}
    with pytest.raises(InvalidInput, match="either --steps or --epochs"):
        overridden(quickstart(), steps=1, epochs=1)


def test_what_is_not_given_is_kept():
    assert overridden(quickstart(), steps=None, optimizers=()) == quickstart()


def test_the_reference_is_never_timed_and_runs_in_float64_only():
    jobs = select(quickstart()).jobs
    mine = [job for job in jobs if job.cell.backend == "reference"]
    assert mine
    assert all(isinstance(job.measure, Agreement) and job.cell.precision == "float64" for job in mine)
    assert not any(isinstance(job.measure, Speed) for job in mine)


def test_the_cover_holds_every_pair_of_pieces():
    grids = [grid for grid in agreement(full=False).grids if grid.decays]
    axes = ("problems", "optimizers", "clips", "penalties", "decays", "schedules")
    full = {one: {choice for grid in grids for choice in getattr(grid, one)} for one in axes}
    for one in axes:
        for other in axes:
            if one < other:
                covered = {(getattr(g, one)[0], getattr(g, other)[0]) for g in grids}
                assert len(covered) == len(full[one]) * len(full[other])


def test_all_takes_the_product():
    product = max(agreement(full=True).grids, key=lambda grid: len(grid.optimizers) * len(grid.decays))
    assert len(cells(replace(product, backends=("numpy",)))) == 2 * 8 * 4 * 5 * 4 * 6


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/tmp/x", "-x", "a\0b", "a\n"])
def test_a_name_that_is_no_folder_is_refused(name):
    with pytest.raises(InvalidInput, match="it names a folder"):
        replace(quickstart(), name=name)


def test_a_study_without_grids_is_refused():
    with pytest.raises(InvalidInput, match="study.grids is empty"):
        replace(quickstart(), grids=())


@pytest.mark.parametrize("name", STUDIES)
def test_every_named_study_expands(name):
    assert select(STUDIES[name]).jobs


def test_other_backends_are_still_compared_with_the_reference():
    """--backend replaces who is compared, not whom they are compared with."""
    chosen = overridden(quickstart(), backends=("numpy", "torch"))
    compared = [grid for grid in chosen.grids if isinstance(grid.measure, Agreement)]
    assert {grid.backends for grid in compared if grid.measure.ulp} == {("reference",)}
    assert {grid.backends for grid in compared if not grid.measure.ulp} == {("reference", "numpy", "torch")}
    assert {grid.backends for grid in chosen.grids if grid not in compared} == {("numpy", "torch")}


@pytest.mark.parametrize("full", [False, True])
def test_a_spelling_that_brings_a_decay_is_compared_with_that_decay(full):
    grids = [grid for grid in agreement(full, optimizers=("adamw[weight_decay=0.5]",)).grids if grid.decays]
    assert {grid.decays for grid in grids} == {("decoupled[rate=0.5]",)}
    assert {choice for grid in grids for choice in grid.optimizers} == {"adam"}


def test_the_reference_alone_has_nothing_to_be_compared_with():
    with pytest.raises(InvalidInput, match="name another backend"):
        agreement(full=False, backends=("reference",))
