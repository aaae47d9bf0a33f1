"""Sweeps on disk, ended, dead or held by a process of their own, for the commands that manage them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from sweep.lifecycle import Event, Journal
from tests.report.report_sweep import START, STEP_S

HOLDER = Path(__file__).with_name("holder_child.py")


def write_sweep(runs: Path, name: str, events: Iterable[Event] = ()) -> Path:
    """The directory of a sweep to which ``events`` have happened, ten seconds apart; nobody runs it."""
    ticks = count()
    with Journal(runs / name, now=lambda: START + STEP_S * next(ticks)) as journal:
        for event in events:
            journal.append(event)
    return runs / name


@contextmanager
def held_by_a_child(directory: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """A real process that runs the sweep: ``obeys`` requests, is ``deaf`` to them, or ``waits`` for a line."""
    child = subprocess.Popen(
        [sys.executable, str(HOLDER), str(directory), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "holds\n"
            yield child
        finally:
            child.send_signal(signal.SIGKILL)


def tree(directory: Path) -> set[str]:
    """The paths of everything in a directory, relative to it."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}
