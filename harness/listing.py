"""What exists, what runs here and why not: the content of ``list``."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from harness import registry
from harness.errors import unknown
from harness.problems.catalogue import CATALOGUE
from harness.spec import spellings
from harness.spec.base import Piece
from harness.spec.initialisations import INITIALISATIONS
from harness.spec.layers import LAYERS
from harness.spec.losses import LOSSES
from harness.spec.recipe import CLIPS, DECAYS, PENALTIES
from harness.spec.schedules import SCHEDULES
from harness.spec.stopping import STOPPINGS
from harness.studies import STUDIES

Row = dict[str, str]


def rows(kind: str) -> list[Row]:
    """The rows of one kind: name, and what there is to say of it."""
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    return KINDS[kind]()


def _pieces(kinds: Sequence[type[Piece]]) -> Callable[[], list[Row]]:
    return lambda: [{"name": kind.spelling(), "fields": _fields(kind), "formula": _formula(kind)} for kind in kinds]


def _optimizers() -> list[Row]:
    found = []
    for name, maker in spellings.SPELLINGS.items():
        found.append({"name": name, "fields": ", ".join(spellings.fields_of(name)), "formula": _formula(maker)})
    return found


def _backends() -> list[Row]:
    found = []
    for name, declaration in registry.declared().items():
        missing = registry.missing(declaration)
        installed = ", ".join(f"{package} {version}" for package, version in registry.versions(declaration).items())
        found.append(
            {
                "name": name,
                "title": declaration.title,
                "runs here": "no" if missing else "yes",
                "versions or cure": missing or installed,
                "devices": ", ".join(declaration.devices),
                "modes": ", ".join(declaration.modes),
            }
        )
    return found


def _fields(kind: type[Piece]) -> str:
    shown = []
    for field in msgspec.structs.fields(kind):
        shown.append(field.name if field.required else f"{field.name}={_default(field.default)}")
    return ", ".join(shown)


def _default(value: Any) -> str:
    return spellings.short(value) if isinstance(value, Piece) else str(value)


def _formula(documented: Any) -> str:
    """The docstring's first paragraph in one line."""
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


KINDS: dict[str, Callable[[], list[Row]]] = {
    "problems": lambda: [{"name": case.name, "about": case.about} for case in CATALOGUE.values()],
    "studies": lambda: [{"name": study.name, "about": study.about} for study in STUDIES.values()],
    "optimizers": _optimizers,
    "clips": _pieces(CLIPS),
    "penalties": _pieces(PENALTIES),
    "decays": _pieces(DECAYS),
    "schedules": _pieces(SCHEDULES),
    "stopping": _pieces(STOPPINGS),
    "layers": _pieces(LAYERS),
    "initialisations": _pieces(INITIALISATIONS),
    "losses": _pieces(LOSSES),
    "backends": _backends,
}
