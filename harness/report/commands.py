"""The lines that make a figure's records again."""

import functools
import shlex
from collections.abc import Callable, Iterable

from harness import selectors
from harness.errors import InvalidInput
from harness.problems.catalogue import CATALOGUE
from harness.report.material import Material
from harness.report.words import problem_name
from harness.spec.problem import Problem
from harness.spec.recipe import NoDecay, Recipe
from harness.spec.spellings import fields_of, optimizer, optimizer_name, short


def run(material: Material, problem: Problem, recipes: Iterable[Recipe]) -> str:
    """``gradgauge run STUDY`` with the selectors of some recipes on a problem, as few as tell them from the rest."""
    every = [record.job.cell for record in material.records]
    words = ["gradgauge", "run", material.study]
    if any(cell.problem != problem for cell in every):
        words += ["--problem", _problem(problem)]
    words += _selectors(recipes, {cell.recipe for cell in every if cell.problem == problem})
    return shlex.join(words)


def replay(material: Material, key: str) -> str:
    """The line that runs one record again."""
    return shlex.join(["gradgauge", "replay", material.folders[key], key])


def missing(material: Material) -> str:
    """The line that makes what a section lacks."""
    return shlex.join(["gradgauge", "run", *_options("problem", [_problem(one.problem) for one in material.settings])])


@functools.cache
def optimizer_selector(recipe: Recipe) -> str:
    """A recipe's optimizer in the grammar of ``--optimizer``: what it gives when read is this optimizer."""
    spec = recipe.optimizer
    for name in (optimizer_name(recipe), spec.spelling()):
        given = {field: getattr(spec, field) for field in fields_of(name) if hasattr(spec, field)}
        if name == "adamw" and not isinstance(recipe.decay, NoDecay):
            given["weight_decay"] = recipe.decay.rate
        made, _ = optimizer(name)
        text = f"{name}[{','.join(_field(n, v) for n, v in given.items() if n == 'lr' or v != getattr(made, n, None))}]"
        if _reads_as(text, recipe):
            return text
    raise InvalidInput(f"{short(spec)} cannot be written as a selector")


def _reads_as(text: str, recipe: Recipe) -> bool:
    try:
        return selectors.optimizers([text])[0][0] == recipe.optimizer
    except InvalidInput:
        return False


def _decay_needs_telling(recipe: Recipe) -> bool:
    """Whether the optimizer's selector leaves the decay out."""
    return selectors.optimizers([optimizer_selector(recipe)])[0][1] != recipe.decay


def _field(name: str, value: object) -> str:
    return f"{name}={value}".lower() if isinstance(value, bool) else f"{name}={value}"


def _selectors(recipes: Iterable[Recipe], every: Iterable[Recipe]) -> list[str]:
    """The options whose selections are not all that there is."""
    words = []
    for option, text in _OPTIONS.items():
        asked, all_texts = ({text(recipe) for recipe in some} for some in (recipes, every))
        if asked != all_texts:
            words += _options(option, sorted(asked))
    return words


def _options(name: str, texts: Iterable[str]) -> list[str]:
    """``--name a,b`` with each text once, in order."""
    unique = list(dict.fromkeys(texts))
    return [f"--{name}", ",".join(unique)] if unique else []


def _problem(problem: Problem) -> str:
    """The problem's name, or the file that its owner has to give."""
    name = problem_name(problem)
    return name if name in CATALOGUE else "PROBLEM.toml"


_OPTIONS: dict[str, Callable[[Recipe], str]] = {
    "optimizer": optimizer_selector,
    "clip": lambda recipe: short(recipe.clip),
    "penalty": lambda recipe: short(recipe.penalty),
    "decay": lambda recipe: short(recipe.decay) if _decay_needs_telling(recipe) else "none",
    "schedule": lambda recipe: short(recipe.schedule),
}
