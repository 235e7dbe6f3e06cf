"""Studies: overriding, expanding, counting."""

import itertools

import pytest
from msgspec.structs import replace

from harness import registry
from harness.errors import InvalidInput
from harness.problems.catalogue import problem_name
from harness.spec.fault import Put, Rate, Scale
from harness.spec.job import Agreement, Health, Speed
from harness.spec.optimizers import Adam
from harness.spec.problem import Quadratic, RandomGradients, Rosenbrock
from harness.studies import SEQUENCES, STUDIES, VARIANTS, agreement, quickstart
from harness.study import Grid, Study, cells, find_case, overridden, select


@pytest.mark.parametrize(
    ("backends", "modes"),
    [
        (("numpy",), {("numpy", "default")}),
        (("numpy,jax",), {("numpy", "default"), ("jax", "default")}),
        (("torch",), {("torch", mode) for mode in ("default", "single", "foreach", "fused", "compile")}),
        (("tensorflow", "jax"), {("tensorflow", mode) for mode in ("default", "eager", "xla")} | {("jax", "default")}),
    ],
)
def test_modes_that_a_study_names_are_left_out_for_backends_that_it_does_not_name_them_for(backends, modes):
    chosen = overridden(STUDIES["updates"], backends=backends)
    assert {(cell.backend, cell.mode) for grid in chosen.grids for cell in cells(grid)} == modes


def test_modes_that_the_user_names_are_not_left_out():
    chosen = overridden(STUDIES["updates"], backends=("numpy",), modes=("single",))
    with pytest.raises(InvalidInput, match="unknown mode of numpy 'single'"):
        cells(chosen.grids[0])


def test_of_modes_for_all_a_backend_takes_those_that_it_has():
    """And where it has none, nothing is left to run."""
    grid = Grid(Speed(), ("rosenbrock",), modes=("eager", "xla", "single"))
    both = overridden(Study("mine", "", (grid,)), backends=("numpy", "tensorflow"))
    found = [(cell.backend, cell.mode) for one in both.grids for cell in cells(one)]
    assert found == [("numpy", "eager"), ("tensorflow", "eager"), ("tensorflow", "xla")]
    with pytest.raises(InvalidInput, match="mine measures no mode of jax: add --mode default"):
        overridden(Study("mine", "", (grid,)), backends=("jax",))


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


AXES = ("problems", "optimizers", "clips", "penalties", "decays", "schedules")


def pairs(cover, axes):
    """Every pair of choices on two of some axes that the cover holds, and how many there could be."""
    grids = [grid for grid in agreement(cover).grids if grid.decays and grid.problems[0] in SEQUENCES]
    choices = {axis: {choice for grid in grids for choice in getattr(grid, axis)} for axis in axes}
    for one, other in itertools.combinations(axes, 2):
        covered = {(getattr(grid, one)[0], getattr(grid, other)[0]) for grid in grids}
        yield len(covered), len(choices[one]) * len(choices[other])


def test_all_holds_every_pair_of_pieces():
    assert all(covered == every for covered, every in pairs("pairs", AXES))


def test_the_short_cover_holds_every_pair_around_the_optimizer_and_every_variant():
    assert all(covered == every for covered, every in pairs("short", [axis for axis in AXES if axis != "optimizers"]))
    grids = [grid for grid in agreement("short").grids if grid.decays]
    assert {grid.optimizers[0] for grid in grids} == set(VARIANTS)


@pytest.mark.parametrize("cover", ["short", "pairs"])
def test_every_variant_runs_in_single_precision(cover):
    grids = [grid for grid in agreement(cover).grids if grid.precisions == ("float32",)]
    found = {(grid.problems[0], optimizer) for grid in grids for optimizer in grid.optimizers}
    assert {optimizer for _, optimizer in found} == set(VARIANTS)
    assert len(found) == len(VARIANTS) * (2 if cover == "pairs" else 1)


def test_the_product_is_one():
    grids = agreement("product", optimizers=("sgd", "adam")).grids
    product = max(grids, key=lambda grid: len(grid.optimizers) * len(grid.decays))
    assert len(cells(replace(product, backends=("numpy",)))) == 2 * 2 * 5 * 5 * 4 * 10


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/tmp/x", "-x", "a\0b", "a\n"])
def test_a_name_that_is_no_folder_is_refused(name):
    with pytest.raises(InvalidInput, match="it names a folder"):
        replace(quickstart(), name=name)


def test_a_study_without_grids_is_refused():
    with pytest.raises(InvalidInput, match="study.grids is empty"):
        replace(quickstart(), grids=())


TRAINED = Health(every=5, window=4)


@pytest.mark.parametrize(
    ("measure", "why"),
    [
        (
            replace(TRAINED, window=5),
            "health.window = 5: the run has 4 observed steps [(]20, every 5[)]; give a window of at most 4",
        ),
        (
            replace(TRAINED, faults=(Scale(3, "relu1.weight", 2.0),)),
            "unknown parameter 'relu1.weight': did you mean 'dense1.weight'",
        ),
        (replace(TRAINED, faults=(Scale(3, "relu1", 2.0),)), "unknown parameter 'relu1'. Allowed: dense1.weight"),
        (
            replace(TRAINED, faults=(Put(3, "dense2.bias", "nan", 10),)),
            "fault put: dense2.bias has 10 numbers, no index 10",
        ),
        (replace(TRAINED, faults=(Rate(20, 2.0),)), "fault rate: step 20 is beyond the run's 20 steps"),
    ],
)
def test_what_a_run_has_no_room_or_no_place_for_is_refused_before_anything_runs(measure, why):
    """Layers can be named by their parameters alone: one that has none, as an activation, has nothing to be changed."""
    grid = Grid(measure, ("digits-64-10-l2",), backends=("numpy",), steps=20)
    with pytest.raises(InvalidInput, match=f"in digits-64-10-l2: {why}"):
        select(Study("refused", "what cannot be measured", (grid,)))
    assert select(Study("fits", "what can", (replace(grid, measure=TRAINED),))).jobs


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


@pytest.mark.parametrize("cover", ["short", "pairs", "product"])
def test_a_spelling_that_brings_a_decay_is_compared_with_that_decay(cover):
    grids = [grid for grid in agreement(cover, optimizers=("adamw[weight_decay=0.5]",)).grids if grid.decays]
    assert {grid.decays for grid in grids} == {("decoupled[rate=0.5]",)}
    assert {choice for grid in grids for choice in grid.optimizers} == {"adam"}


def test_the_reference_alone_has_nothing_to_be_compared_with():
    with pytest.raises(InvalidInput, match="name another backend"):
        agreement(backends=("reference",))


def test_a_functions_own_fields_can_be_given_and_its_name_gives_it_back():
    million = find_case("random-gradients[parameters=1e6,tensors=100,samples=1]").problem
    assert million == RandomGradients(parameters=1_000_000, tensors=100, samples=1)
    assert find_case(problem_name(million)).problem == million
    assert find_case("quadratic-100[condition=5]").problem == Quadratic(condition=5.0)


def test_what_no_selector_could_say_of_a_function_is_named_by_its_hash():
    assert problem_name(Rosenbrock(start=(0.0, 0.5))).startswith("rosenbrock ")


def test_a_function_refuses_fields_that_it_has_not():
    with pytest.raises(InvalidInput, match="unknown field of problem random-gradients 'parametres': did you mean"):
        find_case("random-gradients[parametres=3]")


def test_updates_hold_fused_adam_of_torch_at_every_size():
    chosen = [cell for grid in STUDIES["updates"].grids for cell in cells(grid)]
    adam = [cell for cell in chosen if isinstance(cell.recipe.optimizer, Adam)]
    fused = {cell.problem for cell in adam if (cell.backend, cell.mode) == ("torch", "fused")}
    assert fused == {cell.problem for cell in chosen}
    assert {cell.backend for cell in adam} >= {"numpy", "torch", "tensorflow", "jax"}


def test_updates_hold_adam_in_every_mode_of_every_backend():
    chosen = [cell for grid in STUDIES["updates"].grids for cell in cells(grid)]
    adam = {cell.backend: set() for cell in chosen}
    for cell in chosen:
        if isinstance(cell.recipe.optimizer, Adam):
            declared = registry.find(cell.backend).modes
            adam[cell.backend].add(declared[0] if cell.mode == "default" else cell.mode)
    assert adam == {name: set(registry.find(name).modes) for name in ("numpy", "torch", "tensorflow", "jax")}
