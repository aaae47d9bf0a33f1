"""The ``device-farm`` command line: one module per group of commands, wired together here."""

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from device_farm.cli import doctor_command, fleet_commands, job_commands, process_commands
from device_farm.cli.errors import BAD_INPUT

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
for module in (process_commands, doctor_command, fleet_commands, job_commands):
    module.register(app)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(f"depth-sweep {version('depth-sweep')}")
    except PackageNotFoundError:
        typer.echo("depth-sweep, not installed")
    raise typer.Exit


@app.callback(invoke_without_command=True)
def device_farm(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Measure the latency of TFLite files on a farm of devices."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(BAD_INPUT)


def main() -> None:
    """Runs the command line; a mistake in it becomes one line on stderr."""
    try:
        code = app(prog_name="device-farm", standalone_mode=False)
    except typer.TyperException as error:
        message = error.format_message()
        typer.echo(f"error: {message[:1].lower()}{message[1:]}", err=True)
        sys.exit(error.exit_code)
    sys.exit(code)


__all__ = ["app", "main"]
