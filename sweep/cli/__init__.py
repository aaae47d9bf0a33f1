"""The command line: one module per group of commands, wired together here."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from sweep.cli import (
    compat_commands,
    control_commands,
    inspect_commands,
    judge_commands,
    manage_commands,
    result_commands,
    run_commands,
    show_commands,
    space_commands,
    system_commands,
)

app = typer.Typer(
    name="sweep",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (
    run_commands,
    manage_commands,
    control_commands,
    space_commands,
    show_commands,
    result_commands,
    judge_commands,
    inspect_commands,
    compat_commands,
    system_commands,
):
    module.register(app)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(f"depth-sweep {version('depth-sweep')}")
    except PackageNotFoundError:
        typer.echo("depth-sweep, not installed")
    raise typer.Exit


@app.callback()
def sweep(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hardware-in-the-loop sweeps for mobile depth networks."""


__all__ = ["app"]
