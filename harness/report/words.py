"""Numbers and names as the report writes them."""

import functools
import math
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from harness.judge.speed import Interval
from harness.problems.catalogue import CATALOGUE
from harness.problems.catalogue import problem_name as problem_name
from harness.spec.cell import Budget
from harness.spec.problem import Problem
from harness.spec.recipe import CLIPS, Decay, Decoupled, NoDecay, Recipe
from harness.spec.spellings import SPELLINGS, optimizer_label, optimizer_name, short
from harness.spec.stopping import ToTheEnd

NOTHING = "–"
_THIN = "\N{NARROW NO-BREAK SPACE}"


def number(value: float, digits: int = 3) -> str:
    """Three significant digits unless told otherwise; powers of ten where zeros would hide the number."""
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e7:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    return fixed(value, decimals(value, digits))


def decimals(value: float, digits: int = 3) -> int:
    """Decimals that show ``digits`` significant digits."""
    if value == 0 or not math.isfinite(value):
        return 0
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # of the rounded value: 0.9998 is 1.00
    return max(0, digits - 1 - exponent)


def fixed(value: float, places: int) -> str:
    """A number with so many decimals, thousands set apart."""
    text = f"{value:,.{places}f}" if abs(value) >= 1e4 else f"{value:.{places}f}"
    return text.replace(",", _THIN).replace("-", "−")


def between(interval: Interval) -> str:
    """An interval with the decimals of its value: ``3.81–4.02``; empty where there is none."""
    if math.isnan(interval.low):
        return ""
    places = decimals(interval.value)
    return f"{fixed(interval.low, places)}–{fixed(interval.high, places)}"


def listed(words: Iterable[str]) -> str:
    """a, b and c."""
    *most, last = list(words)
    return f"{', '.join(most)} and {last}" if most else last


def counted(count: int, thing: str, things: str = "") -> str:
    """1 run, 2 runs."""
    return f"{fixed(count, 0)} {thing if count == 1 else things or thing + 's'}"


def budget_text(budget: Budget) -> str:
    """Ten epochs, batch 32."""
    length = counted(budget.steps, "step") if budget.steps else counted(budget.epochs or 0, "epoch")
    early = "" if isinstance(budget.stop, ToTheEnd) else f" at most ({short(budget.stop)})"
    return f"{length}{early}, {batch_text(budget)}"


def batch_text(budget: Budget) -> str:
    """Batch 32."""
    return "full batch" if budget.batch == "full" else f"batch {budget.batch}"


def optimizer_text(recipe: Recipe, among: Sequence[Recipe]) -> str:
    """The optimizer with its rate; all its fields where another recipe would read the same."""
    label, spec = optimizer_label(recipe), recipe.optimizer
    if len({other.optimizer for other in (*among, recipe) if optimizer_label(other) == label}) == 1:
        return label
    fields = short(replace(spec, lr=type(spec)().lr)).removeprefix(spec.spelling()).strip("[]")
    return f"{label.removesuffix(']')},{fields}]" if fields else label


@functools.cache
def rest_text(recipe: Recipe) -> str:
    """Everything of a recipe but its optimizer; empty if it has nothing else."""
    pieces = (recipe.clip, recipe.penalty, _other_decay(recipe), recipe.schedule)
    return " + ".join(short(piece) for piece in pieces if piece.spelling() not in ("none", "constant"))


def rates(recipes: Iterable[Recipe]) -> dict[Recipe, str]:
    """Whether each rate was chosen: "untuned" unless its optimizer ran with several, all else being equal."""
    alike: dict[tuple[str, str], set[float]] = {}
    unique = dict.fromkeys(recipes)
    for recipe in unique:
        alike.setdefault((optimizer_name(recipe), rest_text(recipe)), set()).add(recipe.optimizer.lr)
    counts = {recipe: len(alike[optimizer_name(recipe), rest_text(recipe)]) for recipe in unique}
    return {recipe: "untuned" if count == 1 else f"1 of {count} rates" for recipe, count in counts.items()}


@functools.cache
def recipe_order(recipe: Recipe) -> tuple[int, float, str, int, str]:
    """The order in which recipes are reported: as spellings are listed, then by rate, clip, and the rest."""
    names = list(SPELLINGS)
    name = optimizer_name(recipe)
    place = names.index(name) if name in names else len(names)
    return (
        place,
        recipe.optimizer.lr,
        short(recipe.optimizer),
        CLIPS.index(type(recipe.clip)),
        rest_text(recipe),
    )


def problem_order(problem: Problem) -> tuple[int, str]:
    """Catalogue order; others behind."""
    name = problem_name(problem)
    names = list(CATALOGUE)
    return (names.index(name) if name in names else len(names)), name


def _other_decay(recipe: Recipe) -> Decay:
    """The decay that the optimizer's spelling does not tell."""
    told = optimizer_name(recipe) == "adamw" and recipe.decay == Decoupled()
    return NoDecay() if told else recipe.decay
