"""The lines that make a figure's records again."""

import functools
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from harness import selectors
from harness.errors import InvalidInput
from harness.problems.catalogue import CATALOGUE
from harness.report.material import Material
from harness.report.words import problem_name
from harness.spec.base import from_json
from harness.spec.problem import Problem
from harness.spec.recipe import NoDecay, Recipe
from harness.spec.spellings import fields_of, optimizer, optimizer_name, short
from harness.studies import STUDIES
from harness.study import DEFAULT_THREADS, Study


def whole(material: Material) -> str:
    """The line that makes all records of the (first) study again."""
    return shlex.join([*_study(material), *_words(_changes(material))])


def run(material: Material, problem: Problem, recipes: Iterable[Recipe]) -> str:
    """The same for some recipes on one problem, with as few selectors as tell them from the rest."""
    if any(about.name in AGREEMENT for about in material.abouts[:1]):
        return whole(material)  # its verb takes few selectors
    every = [record.job.cell for record in material.records]
    options = _changes(material)
    if any(cell.problem != problem for cell in every):
        options["problem"] = _problem(problem)
    options |= _selectors(list(recipes), [cell.recipe for cell in every if cell.problem == problem])
    return shlex.join([*_study(material), *_words(options)])


def replay(material: Material, key: str) -> str:
    """The line that runs one record again."""
    return shlex.join(["gradgauge", "replay", material.folders[key], key])


def missing(material: Material) -> str:
    """The line that makes what a section lacks."""
    problems = dict.fromkeys(_problem(one.problem) for one in material.settings)
    return shlex.join(["gradgauge", "run", "--problem", ",".join(problems)])


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


def _study(material: Material) -> list[str]:
    """The verb, and the study or the file that its owner has to give."""
    name = material.abouts[0].name if material.abouts else "quickstart"
    if name in AGREEMENT:
        return ["gradgauge", *AGREEMENT[name]]
    return ["gradgauge", "run", name if name in STUDIES else f"{name}.toml"]


def _changes(material: Material) -> dict[str, str]:
    """The options with which the named study was run: what all its grids share and the named ones have not."""
    options = {}
    threads = {contender.environment.threads for contender in material.contenders.values()}
    if len(threads) == 1 and threads != {DEFAULT_THREADS}:
        options["threads"] = str(*threads)
    about = material.abouts[0] if material.abouts else None
    if about is None or about.name not in STUDIES:
        return options
    try:
        grids = from_json(Study, about.study).grids
    except InvalidInput:  # of a gradgauge whose studies had other fields
        return options
    for field, option in _FIELDS.items():
        found = [getattr(grid, field) for grid in grids]
        if found != [getattr(grid, field) for grid in STUDIES[about.name].grids] and found[0] not in (None, ()):
            options[option] = ",".join(found[0]) if isinstance(found[0], tuple) else str(found[0])
    return options


def _selectors(recipes: Sequence[Recipe], every: Sequence[Recipe]) -> dict[str, str]:
    """The options whose selections are not all that there is."""
    selected = {option: ({text(r) for r in recipes}, {text(r) for r in every}) for option, text in _OPTIONS.items()}
    return {option: ",".join(sorted(asked)) for option, (asked, among) in selected.items() if asked != among}


def _words(options: Mapping[str, str]) -> list[str]:
    return [word for option, value in options.items() for word in (f"--{option}", value)]


def _problem(problem: Problem) -> str:
    """The problem's name, or the file that its owner has to give."""
    name = problem_name(problem)
    return name if name in CATALOGUE else "PROBLEM.toml"


AGREEMENT = {"agreement": ["agree"], "agreement-all": ["agree", "--all"]}
_FIELDS = {
    **{f"{name}s": name for name in ("problem", "optimizer", "clip", "decay", "schedule", "backend", "device", "mode")},
    **{"penalties": "penalty", "precisions": "precision", "seeds": "seeds", "steps": "steps", "epochs": "epochs"},
}
_OPTIONS: dict[str, Callable[[Recipe], str]] = {
    "optimizer": optimizer_selector,
    "clip": lambda recipe: short(recipe.clip),
    "penalty": lambda recipe: short(recipe.penalty),
    "decay": lambda recipe: short(recipe.decay) if _decay_needs_telling(recipe) else "none",
    "schedule": lambda recipe: short(recipe.schedule),
}
