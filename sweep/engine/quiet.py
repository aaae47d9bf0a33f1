"""Training and measuring exclude each other on one machine.

A trainer beside a measurement inflates the latency: a 50 ms model measured 79 ms beside two training threads.
Work that loads the machine runs inside `busy`, one optimisation step at a time; a measurement on this machine
runs inside `quiet`, which waits for the steps under way and holds back the next ones. Both are `flock` locks,
so the kernel frees them when a process dies, however it dies, and no trainer is ever left suspended.

Many may be busy at once; one is quiet at a time. A measurement is not starved by trainers that never pause:
whoever wants to become busy passes the gate first, and a measurement holds the gate while it waits.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class QuietHost:
    """The two sides of the exclusion; all processes of this machine name the same directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._gate = directory / "gate.lock"
        self._room = directory / "room.lock"

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Hold the machine for a short piece of heavy work, together with others."""
        with _locked(self._gate, fcntl.LOCK_EX):
            room = _acquire(self._room, fcntl.LOCK_SH)
        try:
            yield
        finally:
            os.close(room)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Hold the machine alone, for a measurement."""
        with _locked(self._gate, fcntl.LOCK_EX), _locked(self._room, fcntl.LOCK_EX):
            yield


@contextmanager
def _locked(path: Path, mode: int) -> Iterator[None]:
    descriptor = _acquire(path, mode)
    try:
        yield
    finally:
        os.close(descriptor)


def _acquire(path: Path, mode: int) -> int:
    """An open descriptor that holds the lock; closing it lets go. Each call is a holder of its own."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
