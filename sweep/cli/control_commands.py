"""``sweep stop``, ``sweep add-trials`` and ``sweep gc``: what a person does to sweeps from outside."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sweep.cli.arguments import NameArgument, RunsOption, existing_sweep
from sweep.cli.errors import UsageError, explained_errors

if TYPE_CHECKING:
    from sweep.engine.control import AddTrials, StopRequest
    from sweep.engine.garbage import Garbage

POLL_S = 0.2
TAKEN_UP_S = 15.0
"""How long ``sweep add-trials`` waits for a running sweep to take up its request."""


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(stop)
    app.command("add-trials")(add_trials)
    app.command()(gc)


def stop(
    name: NameArgument,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return at once.")] = False,
    runs: RunsOption = Path("runs"),
) -> None:
    """Stop a running sweep as Ctrl-C would, from any terminal.

    What is done is kept, and `sweep resume NAME` goes on with it.
    """
    from sweep.engine.control import StopRequest, ask, forget_stops, new_id
    from sweep.lifecycle.lock import is_running

    with explained_errors():
        directory = existing_sweep(runs, name)
        if not is_running(directory):
            forget_stops(directory, time.time())  # of a run that died first; the next one was not meant
            typer.echo(f"sweep {name} is not running: nothing to stop")
            return
        request = StopRequest(new_id())
        ask(directory, request)
        if no_wait:
            typer.echo(f"sweep {name} was asked to stop; see: {command_line('status', name, runs)}")
            return
        _wait_for_end(directory, request)
        typer.echo(_how_it_ended(directory, runs))


def add_trials(
    name: NameArgument,
    trials: Annotated[int, typer.Argument(metavar="N", min=1, help="How many more candidates to try.")],
    runs: RunsOption = Path("runs"),
) -> None:
    """Let a sweep try more candidates, running or not."""
    from sweep.engine.control import AddTrials, ask, new_id
    from sweep.lifecycle import read_state

    with explained_errors():
        directory = existing_sweep(runs, name)
        if read_state(directory).started is None:
            raise UsageError(f"sweep {name} never started; run it again")
        request = AddTrials(new_id(), trials)
        ask(directory, request)  # a kill from here on loses nothing: whoever runs the sweep next takes it up
        typer.echo(_take_up(directory, request, runs))


def gc(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="The sweeps to clean.  [default: all]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing.")] = False,
    runs: RunsOption = Path("runs"),
) -> None:
    """Remove what no sweep needs any more.

    What kills left behind, and the bookkeeping of runs that are over. Running sweeps are left alone; journals,
    kept files and the MLflow store always stay.
    """
    from sweep.report.text import count

    with explained_errors():
        chosen = [existing_sweep(runs, name) for name in names] if names else _directories(runs)
        found: list[Garbage] = []
        notes: list[str] = []
        for directory in dict.fromkeys(chosen):
            garbage, note = _clean(directory, dry_run)
            found.extend(garbage)
            notes.extend([note] if note else [])
        console = Console()
        if found:
            console.print(_garbage_table(runs, found))
        for note in notes:
            typer.echo(note)
        megabytes = sum(item.size_bytes for item in found) / 1e6
        end = "nothing removed (--dry-run)" if dry_run else "removed"
        places = count(len(found), "place")
        typer.echo(f"{megabytes:.1f} MB in {places}: {end}" if found else "nothing to remove")


def _wait_for_end(directory: Path, request: "StopRequest") -> None:
    from sweep.engine.control import answered
    from sweep.lifecycle.lock import is_running

    console = Console()
    started = time.monotonic()
    text = f"waiting for sweep {directory.name} to stop; Ctrl-C ends the waiting, not the stopping"
    try:
        if not console.is_terminal:
            typer.echo(text)
        with console.status(text) as line:
            while is_running(directory):
                time.sleep(POLL_S)
                line.update(f"{text}  {time.monotonic() - started:.0f} s")
    except KeyboardInterrupt:
        typer.echo(f"sweep {directory.name} stays asked to stop")
        raise
    answered(directory, request)  # its run may have died, or ended by itself, without looking


def _how_it_ended(directory: Path, runs: Path) -> str:
    from sweep.lifecycle import read_journal
    from sweep.report.history import condition, history_of

    name = directory.name
    how = condition(history_of(read_journal(directory)), running=False)
    if how == "never started":
        return f"sweep {name} stopped before it started"
    if how == "finished":
        return f"sweep {name} finished"
    verb = {"stopped": "stopped", "died": "died before it stopped", "out of time": "reached its time limit"}
    return f"sweep {name} {verb.get(how, 'ended with an error')}; go on with: {command_line('resume', name, runs)}"


def _take_up(directory: Path, request: "AddTrials", runs: Path) -> str:
    """Have ``request`` recorded, by the process that runs the sweep or else here; what to say of it."""
    from sweep.engine.control import waits
    from sweep.lifecycle import SweepLocked

    name = directory.name
    until = time.monotonic() + TAKEN_UP_S
    while time.monotonic() < until:
        if not waits(directory, request):
            return f"sweep {name} goes on for {_more(directory, request)}"
        try:
            record_trials(directory, request)
        except SweepLocked:
            time.sleep(POLL_S)
        else:
            more = _more(directory, request)
            return f"sweep {name} may try {more}; go on with: {command_line('resume', name, runs)}"
    return f"sweep {name} was asked for {request.trials} more trials and has not answered yet: it will when it can"


def record_trials(directory: Path, request: "AddTrials") -> None:
    """Record ``request`` in the journal, unless that was done, and answer it.

    Raises:
        SweepLocked: a process runs the sweep.
    """
    from sweep.engine.control import answered
    from sweep.lifecycle import Journal, replay
    from sweep.lifecycle.events import TrialsAdded

    with Journal(directory) as journal:
        state = replay((record.time, record.event) for record in journal.records)
        if request.id not in state.requests:
            journal.append(TrialsAdded(request.trials, request.id))
        answered(directory, request)


def _more(directory: Path, request: "AddTrials") -> str:
    from sweep.lifecycle import read_journal
    from sweep.report.history import history_of
    from sweep.report.text import count

    history = history_of(read_journal(directory))
    if request.id not in history.state.requests:
        raise OSError(
            f"the request for {request.trials} trials was removed before anybody took it up; ask again"
        )
    wanted = history.wanted
    return f"{request.trials} more" + (f", {count(wanted, 'trial')} in all" if wanted is not None else "")


def _directories(runs: Path) -> list[Path]:
    from sweep.lifecycle.journal import JOURNAL_NAME, LOCK_NAME

    found = {path.parent for name in (JOURNAL_NAME, LOCK_NAME) for path in runs.glob(f"*/{name}")}
    return sorted(found)


def _clean(directory: Path, dry_run: bool) -> tuple[tuple["Garbage", ...], str]:
    """What was (or would be) removed, and a line about a sweep that was left alone."""
    from sweep.engine.garbage import garbage_of, remove
    from sweep.lifecycle.lock import held, is_running
    from sweep.report.history import UNREADABLE
    from sweep.report.text import one_line

    try:
        if dry_run:
            return ((), _busy(directory)) if is_running(directory) else (garbage_of(directory), "")
        with held(directory) as mine:
            if not mine:
                return (), _busy(directory)
            garbage = garbage_of(directory)
            for item in garbage:
                remove(item)
            return garbage, ""
    except UNREADABLE as error:
        return (), f"sweep {directory.name} is left alone, its journal is damaged: {one_line(str(error))}"


def _busy(directory: Path) -> str:
    return f"sweep {directory.name} is running: left alone"


def _garbage_table(runs: Path, found: list["Garbage"]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for item in found:
        table.add_row(str(item.path.relative_to(runs)), f"{item.size_bytes / 1e6:.1f} MB", item.why)
    return table


def command_line(command: str, name: str, runs: Path) -> str:
    """What to type, the folder of sweeps included unless it is the default."""
    return f"sweep {command} {name}" + ("" if str(runs) == "runs" else f" --runs {runs}")
