"""Every way that a piece's formula can take: what must be tested, read from the piece's own fields."""

import itertools
from collections.abc import Iterable
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from harness.errors import InvalidInput
from harness.spec.base import Piece, fields

P = TypeVar("P", bound=Piece)


def variants(kind: type[P]) -> list[P]:
    """Pieces that together hold every pair of values of the fields that change the formula; the plain one first.

    Such fields are choices, switches, and numbers whose type gives ``examples``. Combinations that the kind refuses
    are left out.
    """
    choices = {field.name: values for field in fields(kind) if len(values := _values(field)) > 1}
    valid = [made for row in itertools.product(*choices.values()) if (made := _made(kind, choices, row)) is not None]
    pairs = {
        piece: set(itertools.combinations([(name, getattr(piece, name)) for name in choices], 2)) for piece in valid
    }
    if len(choices) < 2:
        return valid
    found, missing = [valid[0]], set().union(*pairs.values()) - pairs[valid[0]]
    while missing:
        found.append(max(valid, key=lambda piece: len(pairs[piece] & missing)))
        missing -= pairs[found[-1]]
    return found


def _values(field: msgspec.structs.FieldInfo) -> list[Any]:
    """The default, and what else the type names."""
    kind = field.type
    others: list[Any] = []
    if get_origin(kind) is Literal:
        others = list(get_args(kind))
    elif kind is bool:
        others = [False, True]
    elif hasattr(kind, "__metadata__"):
        metas = [meta for meta in kind.__metadata__ if isinstance(meta, msgspec.Meta)]
        others = [example for meta in metas for example in meta.examples or ()]
    return list(dict.fromkeys([field.default, *others]))


def _made(kind: type[P], names: Iterable[str], row: tuple[Any, ...]) -> P | None:
    """A piece with these values for these fields, unless the kind refuses them together."""
    try:
        return kind(**dict(zip(names, row, strict=True)))
    except InvalidInput:
        return None
