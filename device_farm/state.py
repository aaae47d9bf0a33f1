"""The folders in which coordinator and workers keep their state: where they are, and one process to each."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class StateInUse(Exception):
    """Another process works in this state folder."""


def default_state_dir(role: str) -> Path:
    """Where a role (``coordinator`` or ``worker``) keeps its state unless told otherwise."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "device-farm" / role


class StateLock:
    """Makes sure that one process at a time works in a state folder; the lock ends with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = (self._folder / "lock").open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            message = f"{self._folder} is in use by another process; name another folder with --state"
            raise StateInUse(message) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
