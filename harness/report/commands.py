"""The lines that make a figure's records again."""

import shlex
from collections.abc import Iterable, Sequence

from harness import selectors
from harness.errors import InvalidInput
from harness.problems.catalogue import CATALOGUE
from harness.report.material import Material, Setting
from harness.report.words import problem_name
from harness.spec.problem import Problem
from harness.spec.recipe import NoDecay, Recipe
from harness.spec.spellings import fields_of, optimizer, optimizer_name, short


def run(material: Material, problem: Problem, recipes: Sequence[Recipe] = (), backends: Iterable[str] = ()) -> str:
    """``gradgauge run STUDY`` with the selectors of some recipes; none selects what the study does."""
    name = problem_name(problem)
    words = ["gradgauge", "run", material.study, "--problem", name if name in CATALOGUE else "PROBLEM.toml"]
    words += _options("optimizer", (optimizer_selector(recipe) for recipe in recipes))
    words += _options("clip", (short(recipe.clip) for recipe in recipes))
    words += _options("penalty", (short(r.penalty) for r in recipes if r.penalty.spelling() != "none"))
    words += _options("decay", (short(r.decay) for r in recipes if _decay_needs_telling(r)))
    words += _options("schedule", (short(r.schedule) for r in recipes if r.schedule.spelling() != "constant"))
    words += _options("backend", backends)
    return shlex.join(words)


def replay(material: Material, key: str) -> str:
    """The line that runs one record again."""
    return shlex.join(["gradgauge", "replay", material.folders[key], key])


def missing(material: Material, settings: Iterable[Setting]) -> str:
    """The line that makes what a section lacks."""
    names = sorted({one.name for one in settings if one.name in CATALOGUE})
    return shlex.join(["gradgauge", "run", *_options("problem", names)])


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


def _options(name: str, texts: Iterable[str]) -> list[str]:
    """``--name a,b`` with each text once, in order."""
    unique = list(dict.fromkeys(texts))
    return [f"--{name}", ",".join(unique)] if unique else []
