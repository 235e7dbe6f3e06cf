"""Inline grids: the grammar in which the command line and studies name pieces.

``adam[lr=[1e-3,1e-2],eps=1e-7]`` names two optimizers; ``global_norm[0.5]`` gives the first field by position;
``warm_up[steps=10,then=cosine]`` nests; ``l2[0.01,on=(dense1.weight)]`` gives a tuple; ``adding[length=100]`` changes a
problem's data set, ``random-gradients[parameters=1e6]`` a function's own fields. Commas at the top separate
selections: ``none,global_norm[1.0]``.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import InvalidInput, unknown
from harness.spec import spellings
from harness.spec.base import Piece
from harness.spec.optimizers import Optimizer
from harness.spec.recipe import CLIPS, DECAYS, PENALTIES, Clip, Decay, Penalty
from harness.spec.schedules import SCHEDULES, Schedule
from harness.spec.stopping import STOPPINGS, Stopping

DATA_FIELDS = ("length", "samples", "training", "scaling", "validation", "test", "split_seed", "fold", "folds")
_TOKEN = re.compile(r"\s*([\[\](),=]|[^\s\[\](),=]+)")


@dataclass(frozen=True)
class Call:
    """NAME[arguments], before it is known what NAME is; ``Choice`` arguments are not multiplied out."""

    name: str
    arguments: tuple[tuple[str | None, Any], ...] = ()


@dataclass(frozen=True)
class Choice:
    """[a,b,c]: each in turn."""

    values: tuple[Any, ...]


def optimizers(texts: Sequence[str]) -> list[tuple[Optimizer, Decay]]:
    """Every optimizer (and the decay that its spelling brings) that the selectors name."""
    return [
        spellings.optimizer(name, **_named(name, "optimizer", spellings.fields_of, arguments))
        for name, arguments in _expanded(texts)
    ]


def clips(texts: Sequence[str]) -> list[Clip]:
    """Every clip that the selectors name."""
    return [_piece("clip", CLIPS, *call) for call in _expanded(texts)]


def penalties(texts: Sequence[str]) -> list[Penalty]:
    """Every penalty that the selectors name."""
    return [_piece("penalty", PENALTIES, *call) for call in _expanded(texts)]


def decays(texts: Sequence[str]) -> list[Decay]:
    """Every decay that the selectors name."""
    return [_piece("decay", DECAYS, *call) for call in _expanded(texts)]


def schedules(texts: Sequence[str]) -> list[Schedule]:
    """Every schedule that the selectors name."""
    return [_piece("schedule", SCHEDULES, *call) for call in _expanded(texts)]


def stopping(text: str) -> Stopping:
    """The one stopping rule that a selector names."""
    found: list[Stopping] = [_piece("stopping rule", STOPPINGS, *call) for call in _expanded([text])]
    if len(found) != 1:
        raise InvalidInput(f"{text}: give one stopping rule")
    return found[0]


def names(texts: Sequence[str]) -> list[str]:
    """Plain names, each text a comma-separated list."""
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def problems(texts: Sequence[str]) -> list[str]:
    """Problems, one a name: the catalogue's, with fields changed (``adding[length=[50,100]]``), and files."""
    found = []
    for text in texts:
        if "[" not in text:
            found += names([text])
            continue
        for name, arguments in _expanded([text]):
            if not all(isinstance(value, Call) and not value.arguments for _, value in arguments):
                raise InvalidInput(f"{text}: give a field of {name} a number or a word, or several as [30,50]")
            given = ",".join(f"{field}={value.name}" if field else value.name for field, value in arguments)
            found.append(f"{name}[{given}]" if given else name)
    return found


def changed_problem(text: str, fields_of: Callable[[str], Sequence[str]]) -> tuple[str, dict[str, Any]]:
    """A problem's name and the fields given for it; ``fields_of`` tells which it has."""
    ((name, arguments),) = _expanded([text])
    return name, _named(name, "problem", fields_of, arguments)


def _piece(kind: str, kinds: Sequence[type[Any]], name: str, arguments: tuple[tuple[str | None, Any], ...]) -> Any:
    by_name = {k.spelling(): k for k in kinds}
    if name not in by_name:
        raise unknown(kind, name, by_name)
    made = by_name[name](**_named(name, kind, lambda _: by_name[name].__struct_fields__, arguments))
    assert isinstance(made, Piece)
    return made


def _named(name: str, kind: str, fields_of: Any, arguments: tuple[tuple[str | None, Any], ...]) -> dict[str, Any]:
    """Arguments by field name; positional ones take the fields in order."""
    fields = tuple(fields_of(name))
    given: dict[str, Any] = {}
    for position, (field, value) in enumerate(arguments):
        if field is None:
            if position >= len(fields):
                raise InvalidInput(f"{name} takes {len(fields)} fields ({', '.join(fields) or 'none'})")
            field = fields[position]
        if field not in fields:
            raise unknown(f"field of {kind} {name}", field, fields)
        if field in given:
            raise InvalidInput(f"{name}: field {field} is given twice")
        given[field] = _nested(value) if isinstance(value, Call) and field == "then" else _plain(value)
    return given


def _nested(call: Call) -> Schedule:
    schedule: Schedule = _piece("schedule", SCHEDULES, call.name, call.arguments)
    return schedule


def _plain(value: Any) -> Any:
    """A scalar as written: a number, true or false, else a word."""
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    if not isinstance(value, Call):
        return value
    if value.arguments:
        raise InvalidInput(f"{value.name}[…] cannot stand here: give a number or a word")
    word = value.name
    if word in ("true", "false"):
        return word == "true"
    try:
        number = float(word)
    except ValueError:
        return word
    return int(number) if number.is_integer() else number  # 1e6 counts as well


def _expanded(texts: Sequence[str]) -> Iterator[tuple[str, tuple[tuple[str | None, Any], ...]]]:
    """Each call with its choices multiplied out."""
    for text in texts:
        for call in _Parser(text).calls():
            yield from _product(call)


def _product(call: Call) -> Iterator[tuple[str, tuple[tuple[str | None, Any], ...]]]:
    options = [value.values if isinstance(value, Choice) else (value,) for _, value in call.arguments]
    for chosen in itertools.product(*options):
        fields = (field for field, _ in call.arguments)
        yield call.name, tuple(zip(fields, chosen, strict=True))


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def calls(self) -> list[Call]:
        """The whole text: calls separated by commas."""
        found = [self._call()]
        while self._take(","):
            found.append(self._call())
        if self.at < len(self.tokens):
            raise self._wrong(f"unexpected {self.tokens[self.at]!r}")
        return found

    def _call(self) -> Call:
        name = self._word()
        arguments: list[tuple[str | None, Any]] = []
        if self._take("["):
            while not self._take("]"):
                arguments.append(self._argument())
                if not self._take(",") and self._peek() != "]":
                    raise self._wrong("expected , or ]")
        return Call(name, tuple(arguments))

    def _argument(self) -> tuple[str | None, Any]:
        value = self._value()
        if isinstance(value, Call) and not value.arguments and self._take("="):
            return value.name, self._value()
        return None, value

    def _value(self) -> Any:
        if self._take("["):
            values = [self._value()]
            while self._take(","):
                values.append(self._value())
            if not self._take("]"):
                raise self._wrong("expected ]")
            return Choice(tuple(values))
        if self._take("("):
            items = []
            while not self._take(")"):
                items.append(self._call())
                self._take(",")
            return tuple(items)
        return self._call()

    def _word(self) -> str:
        token = self._peek()
        if token is None or token in "[](),=":
            raise self._wrong("expected a name" if token is None else f"expected a name before {token!r}")
        self.at += 1
        return token

    def _peek(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _take(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self.at += 1
        return True

    def _wrong(self, why: str) -> InvalidInput:
        return InvalidInput(f"cannot read the selection {self.text!r}: {why}")
