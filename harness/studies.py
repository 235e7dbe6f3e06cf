"""The named studies, and the sets of jobs behind ``agree``."""

from collections.abc import Sequence
from typing import Literal

from allpairspy import AllPairs
from msgspec.structs import replace

from harness import selectors
from harness.errors import InvalidInput
from harness.problems.cases import architectures as architecture_cases
from harness.problems.cases import failing, memory, worked
from harness.problems.cases import functions as functions_cases
from harness.spec.cell import Case
from harness.spec.job import Agreement, Convergence, FirstCall, Health, Speed
from harness.spec.optimizers import LBFGS, OPTIMIZERS
from harness.spec.problem import RandomGradients
from harness.spec.recipe import NoDecay
from harness.spec.spellings import short
from harness.spec.variants import variants
from harness.study import Grid, Study

# The nine optimizers with the rates at which the quickstart runs them; untuned, the usual order of magnitude of each.
NINE_WITH_RATES = (
    "sgd[lr=0.1]",
    "heavy_ball[lr=0.01]",
    "averaged_momentum[lr=0.1]",
    "nesterov[lr=0.01]",
    "adagrad[lr=0.01]",
    "rmsprop[lr=0.001]",
    "adam[lr=0.001]",
    "amsgrad[lr=0.001]",
    "adamw[lr=0.001]",
)
CLIPS = ("none", "global_norm[1.0]")

# Every optimizer in every variant of its formula. AdamW is Adam × decoupled decay.
# At rates of 0.01 or more: next to weights of order 1, float32 cannot tell smaller steps from their rounding.
VARIANTS = tuple(short(replace(variant, lr=max(variant.lr, 0.01))) for kind in OPTIMIZERS for variant in variants(kind))
PLAIN = tuple(kind.spelling() for kind in OPTIMIZERS)
EVERY_CLIP = ("none", "global_norm[2.0]", "per_tensor[1.0]", "by_value[-0.5,0.25]", "adaptive[0.1]")
EVERY_PENALTY = ("none", "l1[0.01]", "l2[0.01]", "l2[0.5,per_sample]", "l1_l2[0.01,0.02]")
EVERY_DECAY = ("none", "coupled[0.1]", "decoupled[0.1]", "decoupled[0.1,schedule]")
EVERY_SCHEDULE = (
    "constant",
    "step[5,0.5]",
    "exponential[0.5,10]",
    "cosine[15,0.1]",
    "warm_up[5,0.1]",
    "warm_up[5,then=cosine]",
    "polynomial[15,2,0.1]",
    "inverse_time[1,10]",
    "one_cycle",
    "plateau[patience=1,every=2]",
)
Cover = Literal["short", "pairs", "product"]
AGREEMENT: dict[Cover, str] = {"short": "agreement", "pairs": "agreement-all", "product": "agreement-product"}
# Optimizers, sequences of gradients, clips, penalties, decays, schedules.
Row = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]
SEQUENCES = ("random-gradients", "random-gradients-1e-4")
BOWLS = ("quadratic-100", "noisy-quadratic")
UPDATES, TRAINING_STEPS, DEEP_STEPS = 20, 100, 50
ARCHITECTURES = (*architecture_cases.CASES, *memory.CASES)
CASES = (*worked.CASES, *functions_cases.CASES)
EPOCHS = 5  # of the quickstart: 155 steps


def quickstart() -> Study:
    """Who computes what, how fast and how well, on the handwritten digits."""
    problem = ("digits-64-64-64-10",)
    nine = Grid(Convergence(), problem, NINE_WITH_RATES, implementation="shipped")
    return Study(
        "quickstart",
        "64-64-64-10 on the handwritten digits: do all frameworks compute the same, how fast, and how well do they "
        "train with nine optimizers, unclipped and clipped by global norm? Three seeds, five epochs, batch 32.",
        (
            *_beside_reference(Grid(Agreement(), problem, NINE_WITH_RATES, CLIPS[:1], steps=TRAINING_STEPS)),
            *_beside_reference(Grid(Agreement(), problem, ("adam[lr=0.001]",), CLIPS[1:], steps=TRAINING_STEPS)),
            replace(nine, clips=CLIPS, seeds=3, epochs=EPOCHS),
            replace(nine, measure=FirstCall(), optimizers=("adam[lr=0.001]",)),
            replace(nine, measure=Speed()),
        ),
    )


def functions() -> Study:
    """The nine optimizers on the analytic functions."""
    return Study(
        "functions",
        "the nine optimizers on Rosenbrock, Beale, an ill-conditioned and a noisy quadratic",
        (
            Grid(
                Convergence(evaluations=50),
                ("rosenbrock", "beale", "quadratic-100", "noisy-quadratic"),
                NINE_WITH_RATES,
                precisions=("float64",),
            ),
        ),
    )


def worked_cases() -> Study:
    """Every dense case as its source gives it."""
    return Study(
        "worked-cases",
        "every worked case with its own recipe and budget, three seeds, exact in float64",
        (Grid(Convergence(), _names(worked.CASES), precisions=("float64",), seeds=3),),
    )


def architectures() -> Study:
    """Convolutional, recurrent and attention networks, and the long-memory tasks, as shipped."""
    return Study(
        "architectures",
        "convolutional, recurrent and attention networks and long-memory tasks, as shipped, three seeds",
        (Grid(Convergence(), _names(ARCHITECTURES), implementation="shipped", seeds=3),),
    )


def remedies() -> Study:
    """Networks that do not train, beside what makes each of them train."""
    return Study(
        "remedies",
        "networks whose gradients vanish or explode, and beside each its remedies, as shipped, three seeds",
        (Grid(Convergence(), _names(failing.CASES), implementation="shipped", seeds=3),),
    )


def health() -> Study:
    """What goes wrong inside networks that do not train, beside their remedies; and who stays healthy with what recipe.

    Windows of four batches: the first one is of the first 16 steps, so that outputs at the start can be held against
    what theory expects of them.
    """
    observed = Health(every=5, window=4)
    return Study(
        "health",
        "how does training go inside? Networks whose gradients vanish or explode, beside their remedies; and "
        "64-64-64-10 on the handwritten digits under four optimizers, clipped or not, penalised or not. One seed.",
        (
            Grid(observed, _names(failing.CASES)),
            Grid(
                observed,
                ("digits-64-64-64-10",),
                ("sgd[lr=0.1]", "sgd[lr=3.0]", "rmsprop[lr=0.001]", "adam[lr=0.001]"),
                ("none", "global_norm[0.5]"),
                ("none", "l2[1e-4]"),
                epochs=EPOCHS,
            ),
        ),
    )


def updates() -> Study:
    """The update alone, held against the traffic that its formula needs."""
    sizes = tuple(f"random-gradients[parameters={size},samples=1]" for size in ("1e3", "1e5", "1e6"))
    slow = tuple(f"random-gradients[parameters={size},samples=1]" for size in ("1e6,tensors=100", "1e7"))
    alone = Speed(block_seconds=0.01, warm_up=2, phase="update", processes=1)
    every = Grid(alone, sizes, ("sgd", "adam", "adamw", "lion"), implementation="shipped")
    modes = replace(every, optimizers=every.optimizers[:3])  # torch.optim has no lion
    kernels = replace(modes, backends=("torch",), modes=("single", "foreach", "fused"))
    graphs = replace(modes, backends=("tensorflow",), modes=("eager", "xla"))
    compiled = replace(every, optimizers=("adam",), backends=("torch",), modes=("compile",))
    grids = (every, kernels, graphs, compiled)
    return Study(
        "updates",
        "the update alone, from a thousand to ten million parameters, a million in a hundred tensors too, as shipped: "
        "how many times as long does it take as what it must move between memory and processor?",
        (*grids, *(replace(grid, problems=slow, optimizers=("adam",)) for grid in grids)),
    )


def choose_clip() -> Study:
    """c of a clip by the global norm, raised until results stop improving."""
    clips = tuple(f"global_norm[{c}]" for c in ("0.03", "0.1", "0.3", "1.0", "3.0", "10.0"))
    return Study(
        "choose-clip",
        "64-64-64-10 on the handwritten digits by gradient descent at a high rate: how large must c be, that a clip by "
        "the global norm costs nothing? Six values and none, five seeds.",
        (
            Grid(
                Convergence(evaluations=1),
                ("digits-64-64-64-10",),
                ("sgd[lr=0.3]",),
                (*clips, "none"),
                seeds=5,
                epochs=EPOCHS,
            ),
        ),
    )


def choose_penalty() -> Study:
    """λ of L2 by five-fold cross-validation."""
    penalties = tuple(f"l2[{rate},per_sample]" for rate in ("0.1", "0.3", "1.0", "3.0", "10.0", "30.0"))
    return Study(
        "choose-penalty",
        "two sigmoid layers on the breast-cancer data: which λ of λ/(2m)Σw², by five-fold cross-validation? Six values "
        "and none.",
        (
            Grid(
                Convergence(evaluations=1),
                tuple(f"sigmoid-binary[fold={fold}]" for fold in range(5)),
                ("adam[lr=0.03]",),
                penalties=(*penalties, "none"),
                epochs=300,
            ),
        ),
    )


def agreement(cover: Cover = "short", backends: tuple[str, ...] = (), optimizers: tuple[str, ...] = ()) -> Study:
    """Every variant of every optimizer among the other pieces, on shared gradients of two scales; and real training.

    ``short``: every variant once, in turn with rows that hold every pair of the other pieces and scales. ``pairs``:
    every pair, the variants among them. ``product``: the optimizers as spelt with everything, beside the short cover.

    And in all of them float32, and every network and function with its own recipe for 100 real steps (50 of the deep
    ones): these only where no optimizers are asked for, as they have their own.
    """
    others = tuple(name for name in backends if name != "reference")
    if backends and not others:
        raise InvalidInput("the reference is what others are compared with: name another backend")
    backends = ("reference", *others) if others else ()
    updates = Agreement(gradients=False)
    grids: list[Grid] = []
    for (decays, problems), chosen in _groups(optimizers or VARIANTS).items():
        axes = (problems, EVERY_CLIP, EVERY_PENALTY, decays, EVERY_SCHEDULE)
        for row in _pairs(chosen, axes) if cover == "pairs" else _rounds(chosen, axes):
            grids += _beside_reference(_grid(updates, row, backends))
        for place, problem in enumerate(problems):
            some = chosen if cover == "pairs" else chosen[place :: len(problems)]
            single = Grid(updates, (problem,), some, backends=others, precisions=("float32",), steps=UPDATES)
            grids += [single, replace(single, backends=("reference",), precisions=("float64",))] if some else []
    if cover == "product":
        for (decays, problems), chosen in _groups(optimizers or PLAIN).items():
            row = (chosen, problems, EVERY_CLIP, EVERY_PENALTY, decays, EVERY_SCHEDULE)
            grids += _beside_reference(_grid(updates, row, backends))
    if not optimizers:
        plain = tuple(case.name for case in CASES if not isinstance(case.problem, RandomGradients))
        grids += _beside_reference(Grid(Agreement(), plain, backends=backends, steps=TRAINING_STEPS))
        deep = _names((*ARCHITECTURES, *failing.CASES))
        grids += _beside_reference(Grid(Agreement(), deep, backends=backends, steps=DEEP_STEPS))
    return Study(AGREEMENT[cover], "every backend against the reference", tuple(grids))


def _names(cases: Sequence[Case]) -> tuple[str, ...]:
    return tuple(case.name for case in cases)


def _pairs(variants: tuple[str, ...], axes: Sequence[Sequence[str]]) -> list[Row]:
    """Rows that together hold every pair of a variant and a choice on each of the axes, and of two such choices."""
    return [_row(row) for row in AllPairs([list(axis) for axis in (variants, *axes)])]


def _rounds(variants: tuple[str, ...], axes: Sequence[Sequence[str]]) -> list[Row]:
    """Each variant once or more, and every pair of choices on the axes at least once."""
    rows = list(AllPairs([list(axis) for axis in axes]))
    length = max(len(variants), len(rows))
    return [_row((variants[i % len(variants)], *rows[i % len(rows)])) for i in range(length)]


def _row(choices: Sequence[str]) -> Row:
    variant, sequence, clip, penalty, decay, schedule = ((choice,) for choice in choices)
    return variant, sequence, clip, penalty, decay, schedule


def _grid(measure: Agreement, row: Row, backends: tuple[str, ...]) -> Grid:
    optimizers, problems, clips, penalties, decays, schedules = row
    return Grid(measure, problems, optimizers, clips, penalties, decays, schedules, backends, steps=UPDATES)


def _groups(optimizers: tuple[str, ...]) -> dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, ...]]:
    """Variants by the decays and problems with which they are combined.

    Every decay, or the one that the spelling brings (adamw). Shared random gradients of two scales; but L-BFGS in
    bowls, for of gradients that know nothing of w, sᵀy is near 0 by chance and its inverse is rounding.
    """
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, ...]] = {}
    for optimizer, brought in selectors.optimizers(optimizers):
        decays = EVERY_DECAY if isinstance(brought, NoDecay) else (short(brought),)
        group = decays, BOWLS if isinstance(optimizer, LBFGS) else SEQUENCES
        found[group] = (*found.get(group, ()), short(optimizer))
    return found


def _beside_reference(grid: Grid) -> tuple[Grid, Grid]:
    """A grid in float64, and the reference's response to one unit in the last place on the same cells."""
    double = replace(grid, precisions=("float64",))
    return double, replace(double, measure=replace(grid.measure, ulp=True), backends=("reference",))


STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        *(quickstart(), functions(), worked_cases(), architectures(), remedies(), health()),
        *(updates(), choose_clip(), choose_penalty()),
    )
}
