"""What the page is made of: sections of sentences, figures and tables. Plain data; the templates draw it."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup

from harness.report.commands import Again
from harness.report.contenders import Contender
from harness.report.tracked import Tracker


@dataclass(frozen=True)
class Entry:
    """A table's entry. ``light`` is set in lighter ink (an interval, a range); ``order`` is what sorting compares."""

    text: str
    light: str = ""
    order: float | str = ""
    # "composed", "bad" or "good": told by a word or sign in the text as well; "stacked": ``light`` below; "prose": wide
    mark: str = ""
    series: int | None = None  # the colour of the contender that it names

    @property
    def sort_key(self) -> str:
        """``order`` as an attribute; numbers that are not finite sort last."""
        if isinstance(self.order, str):
            return self.order or self.text
        return repr(self.order) if math.isfinite(self.order) else str(math.copysign(1e308, self.order))


@dataclass(frozen=True)
class Column:
    """A table's column; neighbours of one ``group`` stand under a common head."""

    name: str
    unit: str = ""
    group: str = ""
    numeric: bool = False
    wide: bool = False  # holds sentences, which may wrap


@dataclass(frozen=True)
class Table:
    """A table as it is shown; ``frame`` is its part of ``CSV.csv``, long and in full precision."""

    name: str
    csv: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Entry]]
    frame: pd.DataFrame
    note: str = ""
    again: Again = Again(())
    folded: bool = False
    totals: Sequence[Sequence[Entry]] = ()  # rows that stay at the foot however the table is sorted

    @functools.cached_property
    def light_widths(self) -> list[int]:
        """For each column of numbers the characters of its longest interval: so that the numbers line up."""
        return [
            max((len(row[place].light) for row in self.every_row), default=0) if column.numeric else 0
            for place, column in enumerate(self.columns)
        ]

    @property
    def dense(self) -> bool:
        """Whether it has so many numbers that intervals stand below them, not beside them."""
        return sum(column.numeric for column in self.columns) > 6

    @property
    def every_row(self) -> list[Sequence[Entry]]:
        """The rows and those at the foot."""
        return [*self.rows, *self.totals]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The heads above the columns with the number of columns that each spans; empty if there are none."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and column.group and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans if any(name for name, _ in spans) else []


@dataclass(frozen=True)
class Panel:
    """One drawing of a figure."""

    svg: Markup
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Legend:
    """A contender's colour, and what must be known of it beside the figure."""

    contender: Contender | Tracker
    facts: str = ""


@dataclass(frozen=True)
class Figure:
    """Drawings with one legend."""

    name: str
    title: str
    panels: Sequence[Panel]
    note: str = ""
    legend: Sequence[Legend] = ()
    scale: Panel | None = None  # a colour scale that the panels share
    again: Again = Again(())
    folded: bool = False
    smallest: int = 0  # width in pixels below which small multiples take fewer columns; 0: a single drawing


@dataclass(frozen=True)
class Section:
    """A chapter of the page. ``missing`` says what was not measured, and the line that measures it."""

    name: str
    title: str
    lead: str
    parts: Sequence[Figure | Table] = ()
    missing: tuple[str, str] | None = None

    @property
    def tables(self) -> list[Table]:
        """Its tables."""
        return [part for part in self.parts if isinstance(part, Table)]


class Item(NamedTuple):
    """One line of a ranking: who, the number, what stands beside it."""

    name: str
    value: str
    light: str = ""
    series: int | None = None


@dataclass(frozen=True)
class Statement:
    """One finding in words; ``**bold**`` as in Markdown. ``ranking`` follows the first sentence."""

    about: str
    place: str  # the problem it is about; empty: all
    sentences: Sequence[str]
    verdict: str = ""  # "good", "bad" or ""
    ranking: Sequence[Item] = ()
