"""Names → backends, by entry point; those that cannot run here, with the reason and the cure."""

import functools
from importlib import import_module, metadata

from harness.backend import Declaration
from harness.errors import InvalidInput, unknown

GROUP = "gradgauge.backends"


@functools.cache
def declared() -> dict[str, Declaration]:
    """Every backend that an installed distribution declares. Imports no framework."""
    found = {point.name: point.load() for point in metadata.entry_points(group=GROUP)}
    order = ("reference", "numpy", "torch", "tensorflow", "jax")
    return {name: found[name] for name in sorted(found, key=lambda n: (order.index(n) if n in order else 99, n))}


def find(name: str) -> Declaration:
    """A backend by name, or by ``package.module:ATTRIBUTE`` of one's own."""
    if ":" not in name:
        if name not in declared():
            raise unknown("backend", name, declared())
        return declared()[name]
    module, _, attribute = name.partition(":")
    try:
        declaration = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidInput(f"backend {name!r}: {error}. Give package.module:ATTRIBUTE of a Declaration") from None
    if not isinstance(declaration, Declaration):
        raise InvalidInput(f"backend {name!r} is a {type(declaration).__name__}, not a harness.backend.Declaration")
    return declaration


def versions(declaration: Declaration) -> dict[str, str | None]:
    """The installed version of each distribution that a backend needs; None where it is missing."""
    return {distribution: _version(distribution) for distribution in declaration.requires}


def additional(declaration: Declaration, device: str) -> dict[str, str]:
    """The installed version of what a backend needs beside that on a device; empty where it is missing, or nothing."""
    addition = declaration.additions.get(device)
    names = () if addition is None else addition.any_of
    return {name: version for name in names if (version := _version(name)) is not None}


def missing(declaration: Declaration, device: str = "cpu") -> str | None:
    """Why a backend cannot run on a device in this interpreter, with the line that installs what is missing."""
    absent = [name for name, version in versions(declaration).items() if version is None]
    if absent:
        return _install(", ".join(absent), declaration.extra)
    addition = declaration.additions.get(device)
    if addition is None or additional(declaration, device):
        return None
    return _install(addition.any_of[0], addition.extra)


def _install(absent: str, extra: str) -> str:
    return f"{absent} not installed: pip install 'gradgauge[{extra}]' -c constraints.txt"


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
