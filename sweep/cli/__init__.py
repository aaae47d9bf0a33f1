"""The command line: one module per group of commands, wired together here."""

import typer

from sweep.cli import judge_commands, result_commands, run_commands, space_commands, system_commands

app = typer.Typer(
    name="sweep",
    help="Hardware-in-the-loop sweeps for mobile depth networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (run_commands, space_commands, result_commands, judge_commands, system_commands):
    module.register(app)

__all__ = ["app"]
