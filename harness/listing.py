"""What exists, what runs here and why not: the content of ``list``."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from harness import registry
from harness.backend import Declaration
from harness.errors import unknown
from harness.findings import meanings
from harness.problems.catalogue import CATALOGUE
from harness.spec import allowed, spellings
from harness.spec.activations import ACTIVATIONS
from harness.spec.base import Piece, fields
from harness.spec.initialisations import INITIALISATIONS
from harness.spec.layers import LAYERS
from harness.spec.losses import LOSSES, METRICS, metric
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
        made, decay = spellings.optimizer(name)
        lines = []
        for asked in spellings.fields_of(name):
            spec, own = (decay, "rate") if asked == "weight_decay" else (made, asked)
            kind = next(field.type for field in fields(type(spec)) if field.name == own)
            lines.append(_field(asked, kind, getattr(spec, own)))
        formula = _formula(maker) if isinstance(maker, type) else f"{_formula(maker)}\n{_formula(type(made))}"
        found.append({"name": name, "fields": "\n".join(lines), "formula": formula})
    return found


def _metrics() -> list[Row]:
    losses = {name: [loss.spelling() for loss in LOSSES if metric(loss()) == name] for name in METRICS}
    return [{"name": name, "of": "\n".join(losses[name]), "formula": formula} for name, formula in METRICS.items()]


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
                "devices": "\n".join(_device(declaration, device) for device in declaration.devices),
                "modes": ", ".join(declaration.modes),
            }
        )
    return found


def _device(declaration: Declaration, device: str) -> str:
    """A device, and the cure where only it lacks something."""
    missing = None if registry.missing(declaration) else registry.missing(declaration, device)
    return f"{device} ({missing})" if missing else device


def _fields(kind: type[Piece]) -> str:
    """A line for each field: ``reset=after (after, before)``."""
    return "\n".join(_field(field.name, field.type, field.default) for field in fields(kind))


def _field(name: str, kind: Any, default: Any) -> str:
    told = allowed.allowed(kind)
    if default is None:
        return f"{name} ({told}; left out: {allowed.left_out(kind)})"
    return f"{name}{'' if default is msgspec.NODEFAULT else f'={allowed.default(default)}'} ({told})"


def _formula(documented: Any) -> str:
    """The docstring, broken where a line of it ends a sentence."""
    lines = (inspect.getdoc(documented) or "").replace("``", "`").splitlines()
    return "".join(line + ("\n" if line.endswith(".") else " ") for line in lines if line).strip()


KINDS: dict[str, Callable[[], list[Row]]] = {
    "problems": lambda: [{"name": case.name, "about": case.about} for case in CATALOGUE.values()],
    "studies": lambda: [{"name": study.name, "about": study.about} for study in STUDIES.values()],
    "optimizers": _optimizers,
    "clips": _pieces(CLIPS),
    "penalties": _pieces(PENALTIES),
    "decays": _pieces(DECAYS),
    "schedules": _pieces(SCHEDULES),
    "stopping": _pieces(STOPPINGS),
    "layers": _pieces([kind for kind in LAYERS if kind not in ACTIVATIONS]),
    "activations": _pieces(ACTIVATIONS),
    "initialisations": _pieces(INITIALISATIONS),
    "losses": _pieces(LOSSES),
    "metrics": _metrics,
    "findings": meanings.rows,
    "backends": _backends,
}
