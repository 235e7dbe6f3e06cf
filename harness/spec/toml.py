"""Specs as TOML that a person can edit: defaults are written, what is left out stands in comments."""

import json
import re
from typing import Any

import msgspec

from harness.spec.base import Spec, fields, metas

_MARK = re.compile(r'(?P<before>, )?(?P<name>\w+) = "@left out (?P<number>\d+)@"')


def to_toml(spec: Spec) -> str:
    """Every field of a spec. TOML has no null: one that is None stands in a comment, with what that means."""
    comments: list[tuple[str, str]] = []
    text = msgspec.toml.encode(_marked(spec, comments)).decode()
    return "".join(_commented(line, comments) for line in text.splitlines(keepends=True))


def _marked(value: Any, comments: list[tuple[str, str]]) -> Any:
    """Plain builtins, with a mark for each field that is None: the number of its comment."""
    if isinstance(value, Spec):
        tag = value.__struct_config__.tag
        plain: dict[str, Any] = {} if tag is None else {"kind": tag}
        for field in fields(type(value)):
            item = getattr(value, field.name)
            if item is None:
                (told,) = (meta for meta in metas(field.type) if meta.description)
                example = json.dumps((told.extra or {})["example"])  # numbers, words and lists are TOML too
                plain[field.name] = f"@left out {len(comments)}@"
                comments.append((f"{field.name} = {example}", f"left out: {told.description}"))
            else:
                plain[field.name] = _marked(item, comments)
        return plain
    return [_marked(item, comments) for item in value] if isinstance(value, tuple) else value


def _commented(line: str, comments: list[tuple[str, str]]) -> str:
    """A line with comments for its marks; those of a table in a line of its own stand behind it."""
    found = [comments[int(mark["number"])] for mark in _MARK.finditer(line)]
    if not found:
        return line
    rest = _MARK.sub("", line).rstrip()
    if rest:
        return f"{rest}  # {'; '.join(f'{example} ({told})' for example, told in found)}\n"
    ((example, told),) = found
    return f"# {example}  # {told}\n"
