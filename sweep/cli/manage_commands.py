"""``sweep list``, ``sweep status`` and ``sweep compare``: what there is, what it does, which was better."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sweep.cli.arguments import NameArgument, RunsOption, existing_sweep, sweep_names
from sweep.cli.control_commands import command_line
from sweep.cli.errors import UsageError, explained_errors

if TYPE_CHECKING:
    from sweep.report.sweeps import SweepRow

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("list")(list_sweeps)
    app.command()(status)
    app.command()(compare)


def list_sweeps(as_json: JsonOption = False, runs: RunsOption = Path("runs")) -> None:
    """List the sweeps and how they stand."""
    from sweep.report.sweeps import sweeps_json, sweeps_table

    with explained_errors():
        rows = [_row(runs, name) for name in sweep_names(runs)]
        if as_json:
            typer.echo(json.dumps(sweeps_json(rows), indent=2))
        elif rows:
            Console().print(sweeps_table(rows))
        else:
            typer.echo(f"{runs} holds no sweep; start one with: sweep run mobilenetv3, or give --runs DIR")


def status(
    name: NameArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the sweep until it ends.")] = False,
    as_json: JsonOption = False,
    runs: RunsOption = Path("runs"),
) -> None:
    """Show what a sweep does now.

    Reads the sweep's journal alone, so it works beside a running sweep, after a crash, and on a copy. Ctrl-C ends
    --watch; the sweep goes on.
    """
    from sweep.cli.watching import look, watch_sweep
    from sweep.report.history import Follower
    from sweep.report.status import status_json
    from sweep.report.status_view import status_screen

    with explained_errors():
        if watch and as_json:
            raise UsageError("--watch and --json exclude each other")
        directory = existing_sweep(runs, name)
        follower = Follower(directory)
        found = look(directory, follower)
        if as_json:
            typer.echo(json.dumps(status_json(found), indent=2))
        elif watch and found.runs:
            watch_sweep(Console(), directory, follower)
        else:
            Console().print(status_screen(found))
            if found.condition in ("stopped", "error", "died"):
                typer.echo(f"go on with: {command_line('resume', name, runs)}")


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A sweep's name.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another sweep's name.")],
    as_json: JsonOption = False,
    runs: RunsOption = Path("runs"),
) -> None:
    """Compare two sweeps.

    Says whether their scores compare at all, and if so which is better, at equal cost too.
    """
    from sweep.engine.own_code import find_score_again
    from sweep.lifecycle import read_journal, replay
    from sweep.report.compare import compare as compare_sweeps
    from sweep.report.compare import comparison_json
    from sweep.report.compare_view import comparison_view

    with explained_errors():
        directories = [existing_sweep(runs, name) for name in (first, second)]
        journals = [(directory.name, read_journal(directory)) for directory in directories]
        for name, records in journals:
            if not records:
                raise UsageError(f"sweep {name} never started: there is nothing to compare")
            find_score_again(replay((record.time, record.event) for record in records[:1]).started)
        comparison = compare_sweeps(journals[0], journals[1])
        if as_json:
            typer.echo(json.dumps(comparison_json(comparison), indent=2))
        else:
            Console().print(comparison_view(comparison))


def _row(runs: Path, name: str) -> "SweepRow":
    from sweep.lifecycle import read_journal
    from sweep.lifecycle.lock import is_running
    from sweep.report.history import UNREADABLE, history_of
    from sweep.report.sweeps import damaged_row, sweep_row

    try:
        return sweep_row(name, history_of(read_journal(runs / name)), is_running(runs / name))
    except (OSError, *UNREADABLE) as error:
        return damaged_row(name, error)
