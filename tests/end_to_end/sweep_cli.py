"""Runs the command line as a person would, in processes of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sweep.lifecycle import JournalError, Record, read_journal

SPACE = Path(__file__).with_name("miniature.yaml")
PATIENCE_S = 240.0


@dataclass(frozen=True)
class FinishedSweep:
    """Where it is, and what the command printed."""

    runs: Path
    name: str
    data: Path
    output: str

    @property
    def directory(self) -> Path:
        return self.runs / self.name


def sweep(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The finished command, its output captured as text."""
    return subprocess.run(_command(arguments), cwd=cwd, capture_output=True, text=True, check=False)


def start_sweep(*arguments: str | Path) -> subprocess.Popen[str]:
    """The command under way, in a process group of its own, as at a terminal."""
    return subprocess.Popen(
        _command(arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _command(arguments: tuple[str | Path, ...]) -> list[str]:
    return [sys.executable, "-m", "sweep", *map(str, arguments)]


def wait_for(directory: Path, condition: Callable[[tuple[Record, ...]], bool]) -> None:
    """Return once the journal in ``directory`` satisfies ``condition``."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if (directory / "journal.jsonl").exists():
            try:
                if condition(read_journal(directory)):
                    return
            except JournalError:  # the first line is being written
                pass
        threading.Event().wait(0.05)  # the journal belongs to another process: there is nothing to wait on
    raise AssertionError(f"{directory} did not get there in {PATIENCE_S:g} s")


def interrupt(process: subprocess.Popen[str]) -> str:
    """Ctrl-C at a terminal, which reaches the whole process group; returns what was printed until the end."""
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE_S)
    return output
