"""``sweep check`` and ``sweep schema``."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sweep.cli.errors import explained_errors

SpaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPACE",
        help="A search-space YAML file, a folder of candidate files, or the name of a bundled one of either.",
    ),
]
ImportOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--import-from",
        metavar="DIR",
        help="A folder with code of your own (repeatable).",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(check)
    app.command()(schema)


def check(space: SpaceArgument, import_from: ImportOption = None) -> None:
    """Validate a search space, or a folder of candidate files, and describe it.

    Prints its parameters, the number of its architectures, and one sampled candidate.
    """
    from sweep.engine.own_code import folders_for, make_importable
    from sweep.space import load_space
    from sweep.space.describe import describe

    with explained_errors():
        make_importable(folders_for(Path(space), import_from or ()))
        chosen = load_space(space)
        tell(chosen.notes)
        Console().print(describe(chosen))


def tell(notes: Iterable[str]) -> None:
    """Say what a person should know of a space."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def schema(
    candidate: Annotated[bool, typer.Option("--candidate", help="Of candidate files instead.")] = False,
) -> None:
    """Print the JSON Schema of search-space files, for editors."""
    from sweep.space import candidate_schema, json_schema

    typer.echo(json.dumps(candidate_schema() if candidate else json_schema(), indent=2))
