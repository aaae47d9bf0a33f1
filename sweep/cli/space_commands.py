"""``sweep check`` and ``sweep schema``."""

import json
from typing import Annotated

import typer
from rich.console import Console

from sweep.cli.errors import explained_errors

SpaceArgument = Annotated[
    str, typer.Argument(metavar="SPACE", help="A search-space YAML file, or the name of a bundled one.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(check)
    app.command()(schema)


def check(space: SpaceArgument) -> None:
    """Validate a search space and describe it.

    Prints its parameters, the number of its architectures, and one sampled candidate.
    """
    from sweep.space import load_space
    from sweep.space.describe import describe

    with explained_errors():
        Console().print(describe(load_space(space)))


def schema() -> None:
    """Print the JSON Schema of search-space files, for editors."""
    from sweep.space import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
