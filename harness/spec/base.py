"""What every spec is: frozen plain data that refuses invalid values and hashes to a stable key."""

import difflib
import functools
import hashlib
import math
import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args

import msgspec

from harness.errors import InvalidInput, unknown

S = TypeVar("S", bound="Spec")

Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(ge=0, lt=1)]  # moment decay rates: [0, 1)
Count = Annotated[int, msgspec.Meta(ge=1)]
Index = Annotated[int, msgspec.Meta(ge=0)]


def left_out(means: str, example: Any) -> msgspec.Meta:
    """Stands beside the type of a field that may be None: what that means, and a value to write instead."""
    return msgspec.Meta(description=means, extra={"example": example})


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all specs.

    Values are checked when a spec is constructed, by the same rules as when it is read from
    a file, so a spec that exists is valid. An ``int`` given for a ``float`` becomes a float, which
    keeps the key independent of how a number was written.
    """

    def __post_init__(self) -> None:
        for field in fields(type(self)):
            value = getattr(self, field.name)
            try:
                checked = msgspec.convert(value, field.type)
            except msgspec.ValidationError as error:
                raise _refused(f"{self.spelling()}.{field.name}", value, field.type, str(error)) from None
            if isinstance(checked, float) and not math.isfinite(checked):
                raise InvalidInput(f"{self.spelling()}.{field.name} = {value!r}: must be finite")
            msgspec.structs.force_setattr(self, field.name, checked)
        self.check()

    def check(self) -> None:
        """Refuse combinations of fields that make no sense (override; raise ``InvalidInput``)."""

    @classmethod
    def spelling(cls) -> str:
        """The name under which files and the command line know this kind."""
        tag = cls.__struct_config__.tag
        return str(tag) if tag is not None else cls.__name__.lower()


def metas(annotation: Any) -> list[msgspec.Meta]:
    """What stands beside a type: its limits, examples and description."""
    return [meta for meta in getattr(annotation, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]


@functools.cache
def fields(kind: type[Spec]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """A spec's fields, with their types resolved once."""
    return msgspec.structs.fields(kind)


class Piece(Spec, frozen=True, tag_field="kind"):
    """Base of specs that are one of several kinds: files name the kind by the subclass's ``tag``."""


def canonical(value: Any) -> Any:
    """A spec as plain builtins without the fields that stand at their default.

    Leaving defaults out means that a field added later changes no key made earlier.
    """
    if isinstance(value, Spec):
        tag = value.__struct_config__.tag
        plain: dict[str, Any] = {} if tag is None else {"kind": tag}
        for field in fields(type(value)):
            item = getattr(value, field.name)
            if field.required or item != field.default:
                plain[field.name] = canonical(item)
        return plain
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    return value


def key(spec: Spec) -> str:
    """A stable hash of a spec: 16 hexadecimal digits (64 bits) of SHA-256 over its canonical JSON."""
    encoded = msgspec.json.encode(canonical(spec), order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:16]


def to_json(spec: Spec) -> bytes:
    """A spec as canonical JSON."""
    return msgspec.json.encode(canonical(spec), order="deterministic")


def from_json(kind: type[S], text: bytes | str) -> S:
    """Read a spec; ``InvalidInput`` says which field is wrong and why."""
    return _read(kind, msgspec.json.decode, text)


def from_toml(kind: type[S], text: bytes | str) -> S:
    """Read a spec; ``InvalidInput`` says which field is wrong and why."""
    return _read(kind, msgspec.toml.decode, text)


def _read(kind: type[S], decode: Callable[..., S], text: bytes | str) -> S:
    try:
        return decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"not a {kind.spelling()}: {error}{_hint(kind, str(error))}") from None


_MISSPELT = re.compile("(unknown field|Invalid enum value|Invalid value) [`']([^`']*)[`']")  # as msgspec says it


def _refused(where: str, value: Any, annotation: Any, message: str) -> InvalidInput:
    """The error for a field's value; for a word that is none of those allowed, with the nearest that are."""
    misspelt = _MISSPELT.search(message)
    asked = value.spelling() if isinstance(value, Piece) else misspelt.group(2) if misspelt else ""
    allowed = _words(annotation)
    if not asked or not allowed:
        return InvalidInput(f"{where} = {value!r}: {message}")
    leaves = _leaves(annotation)
    if str in leaves and ... in leaves:
        allowed.append(f"({asked})")  # as selections write a tuple of names
    return unknown(where, asked, allowed)


def _hint(kind: type[Spec], message: str) -> str:
    """The nearest valid names for a misspelt field or word."""
    misspelt = _MISSPELT.search(message)
    if misspelt is None:
        return ""
    found = [field for spec in _specs(kind) for field in fields(spec)]
    if misspelt.group(1) == "unknown field":
        names = {field.name for field in found}
    else:
        here = _named_in(message)
        words = {word for field in found if field.name == here for word in _words(field.type)}
        names = words or {word for field in found for word in _words(field.type)}
    near = difflib.get_close_matches(misspelt.group(2), sorted(names - {misspelt.group(2)}), n=3, cutoff=0.5)
    if near:
        return f" (did you mean {' or '.join(near)}?)"
    return f" (choose from: {', '.join(sorted(names))})" if misspelt.group(1) != "unknown field" else ""


def _named_in(message: str) -> str:
    """The field that a message is about: ``padding`` of "at `$.model[0].padding`", ``model`` of `$.model[0].kind`."""
    path = re.findall(r"[.](\w+)", message.rpartition("`$")[2])
    return (path[-2:-1] if path[-1:] == ["kind"] else path[-1:] or [""])[0] if path[:1] != ["kind"] else ""


def _words(annotation: Any) -> list[str]:
    """The words that may stand for a value: literals, and the names of kinds."""
    leaves = _leaves(annotation)
    kinds = [leaf.spelling() for leaf in leaves if isinstance(leaf, type) and issubclass(leaf, Piece)]
    return [leaf for leaf in leaves if isinstance(leaf, str)] + kinds


def _specs(kind: type[Spec]) -> set[type[Spec]]:
    """A kind of spec and all that its fields are made of (a residual's layers may be residuals)."""
    found, new = {kind}, {kind}
    while new:
        leaves = [leaf for one in new for field in fields(one) for leaf in _leaves(field.type)]
        new = {leaf for leaf in leaves if isinstance(leaf, type) and issubclass(leaf, Spec)} - found
        found |= new
    return found


def _leaves(annotation: Any) -> list[Any]:
    """The types and literals that an annotation is made of, in its order."""
    inner = get_args(annotation)
    return [leaf for part in inner for leaf in _leaves(part)] if inner else [annotation]
