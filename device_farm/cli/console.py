"""Where the commands write: tables and text for people, JSON for programs, progress on stderr."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table

FILE_WIDTH = 1000  # columns where the output is no terminal, so that each row stays on one line


def open_console() -> Console:
    """A console on stdout; in a file or pipe nothing is wrapped or coloured."""
    width = None if sys.stdout.isatty() else FILE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def show(content: RenderableType) -> None:
    """Prints to stdout; into a file or pipe without the blanks that would fill a table's lines."""
    console = open_console()
    if console.is_terminal:
        console.print(content)
        return
    with console.capture() as captured:
        console.print(content)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def print_json(value: Any) -> None:
    """``value`` as the only thing on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def plain_table(*columns: str) -> Table:
    """A table without lines; with ``columns``, they are its header."""
    table = Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), show_header=bool(columns)
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def key_table(rows: list[tuple[str, Any]]) -> Table:
    """Two columns: what, and how it is."""
    table = plain_table()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


@contextmanager
def progress(first: str) -> Iterator[Callable[[str], None]]:
    """Shows on stderr what is waited for, ``first`` at first: a spinner on a terminal, nothing in a file."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        yield lambda _text: None
        return
    with console.status(first) as status:
        yield status.update
