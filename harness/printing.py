"""What the command line prints: tables or JSON on standard output, sentences on standard error."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

SCHEMA = 1  # of what --format json prints
SHOWN = 20  # lines of what went wrong
_WIDTH = None if sys.stdout.isatty() else 240  # a pipe has no width to respect
# Names, paths and reasons hold brackets and colons of their own: nothing printed is markup.
out = Console(width=_WIDTH, markup=False, emoji=False)
err = Console(stderr=True, markup=False, emoji=False, highlight=False)


class Format(StrEnum):
    """How a result is printed."""

    table = "table"
    json = "json"


def show_tables(tables: Mapping[str, Sequence[Any]], shape: Format) -> None:
    """Each table under its title, columns as they come; or all as one JSON object, NumPy's numbers too."""
    if shape is Format.json:
        print(msgspec.json.format(msgspec.json.encode({"schema": SCHEMA, **tables}, enc_hook=float)).decode())
        return
    for title, rows in tables.items():
        if not rows:
            continue
        columns = list(dict.fromkeys(name for row in rows for name in row))
        long = any("\n" in value for row in rows for value in row.values())
        table = Table(title=title, title_justify="left", show_edge=False, show_lines=long)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(row.get(column, "") for column in columns))
        out.print(table)


def say(line: str) -> None:
    """One line on standard error, never broken in two."""
    err.print(line, soft_wrap=True)


def say_all(lines: list[str]) -> None:
    """The first of some lines, and how many more there are."""
    for line in lines[:SHOWN]:
        say(line)
    if len(lines) > SHOWN:
        say(f"  and {len(lines) - SHOWN} more")
