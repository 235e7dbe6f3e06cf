"""What a field may be, in words that a person reads: ``whole number ≥ 1``, ``after, before``."""

import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from harness.spec.base import Piece, Spec, metas
from harness.spec.layers import Residual

_PLAIN = {bool: "true, false", int: "whole number", float: "number", str: "word"}
_LIMITS = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))


def allowed(annotation: Any) -> str:
    """A type in words; None is left to the field's default."""
    if get_origin(annotation) is Annotated:
        limits = [f"{sign} {limit:g}" for meta in metas(annotation) for limit, sign in _limits(meta)]
        return " ".join([allowed(get_args(annotation)[0]), " and ".join(limits)]).strip()
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return _several(get_args(annotation))
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return _either([part for part in get_args(annotation) if part is not NoneType])
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation.spelling()
    return _PLAIN[annotation]


def default(value: Any) -> str:
    """A default as files write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(default, value))}]"
    return value.spelling() if isinstance(value, Piece) else str(value)


def left_out(annotation: Any) -> str:
    """What a field that may be None means then."""
    return next((meta.description for meta in metas(annotation) if meta.description), "")


def _limits(meta: msgspec.Meta) -> list[tuple[float, str]]:
    return [(limit, sign) for name, sign in _LIMITS if (limit := getattr(meta, name)) is not None]


def _several(kinds: tuple[Any, ...]) -> str:
    """A tuple, all of whose elements are of one kind."""
    one = allowed(kinds[0])
    if Residual in get_args(kinds[0]):
        return "list of layers"
    many = re.sub("number|word", r"\g<0>s", one, count=1)
    return f"list of {many}" if kinds[-1] is ... else f"{len(kinds)} {many}"


def _either(kinds: list[Any]) -> str:
    pieces = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Piece)]
    return (", " if pieces else " or ").join(map(allowed, kinds))
