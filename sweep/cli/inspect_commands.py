"""``sweep inspect``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sweep.cli.errors import UsageError, explained_errors

PIPE_COLUMNS = 100


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(inspect)


def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="Any TFLite file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a TFLite file holds, and what stands out.

    Its operators with their versions and costs, size, memory, ends and metadata, the oldest runtime that can
    run it, what XNNPACK leaves alone, and what to do about whatever could be better.
    """
    from sweep.export.inspection import examine
    from sweep.report.inspection import inspection_json, inspection_view

    with explained_errors():
        if not model.is_file():
            raise UsageError(f"{model}: {'a folder, not a file' if model.is_dir() else 'no such file'}")
        found = examine(model)
        if as_json:
            typer.echo(json.dumps(inspection_json(found), indent=2))
        else:
            console = report_console()
            console.print(inspection_view(found, width=console.width))


def report_console() -> Console:
    """A console; in a pipe, where nothing tells how wide the reader's screen is, with room for the operators."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, PIPE_COLUMNS))
