"""``sweep status --watch``: redraws when the journal has grown, until nobody runs the sweep any more."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sweep.lifecycle.lock import is_running
from sweep.report.history import Follower
from sweep.report.status import SweepStatus, status_of
from sweep.report.status_view import status_line, status_screen

POLL_S = 0.5


def look(directory: Path, follower: Follower) -> SweepStatus:
    """The status of the sweep in ``directory`` now.

    Raises:
        JournalError, IllegalEvent: its journal is damaged.
    """
    running = is_running(directory)  # before the journal, which then holds all that a run that is over wrote
    return status_of(directory.name, follower.update(), running=running, now=time.time())


def watch_sweep(console: Console, directory: Path, follower: Follower) -> None:
    """Show the sweep until it ends or until Ctrl-C: a screen on a terminal, elsewhere a line per change."""
    with suppress(KeyboardInterrupt):  # it ends the watching, and nothing else
        if console.is_terminal and not console.is_dumb_terminal:
            _watch_screen(console, directory, follower)
        else:
            _watch_lines(console, directory, follower)


def _watch_screen(console: Console, directory: Path, follower: Follower) -> None:
    with Live(console=console, auto_refresh=False) as live:
        for status in _looks(directory, follower):
            live.update(status_screen(status), refresh=True)


def _watch_lines(console: Console, directory: Path, follower: Follower) -> None:
    shown = ""
    for status in _looks(directory, follower):
        line = status_line(status)
        if line != shown:
            stamp = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
            console.print(Text(f"{stamp}  {line}"), soft_wrap=True)
            shown = line


def _looks(directory: Path, follower: Follower) -> Iterator[SweepStatus]:
    while True:
        status = look(directory, follower)
        yield status
        if not status.runs:
            return
        time.sleep(POLL_S)
