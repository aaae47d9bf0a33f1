"""What no sweep needs any more: left behind by kills, or worthless once a run is over.

Nothing here is removed while a process runs the sweep; the journal, the MLflow store and files that the journal
says are kept are never garbage.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweep.engine.control import AddTrials, leftovers, path_of, waiting
from sweep.engine.files import SweepFiles
from sweep.lifecycle import SweepState, read_journal, replay
from sweep.lifecycle.journal import JOURNAL_NAME, LOCK_NAME
from sweep.lifecycle.lock import is_locked

OWN_NAMES = frozenset({JOURNAL_NAME, LOCK_NAME, "farm", "ray", "requests", "stop", "teacher", "trials"})
"""What a sweep's directory holds; a directory with anything else in it is somebody's, and is never removed."""

_TEMPORARY = (".*.tmp", ".export-*")
_FARM_LOCKS = "*/lock"


@dataclass(frozen=True)
class Garbage:
    """A file or folder that nobody needs, why, and how much room it takes, in bytes."""

    path: Path
    why: str
    size_bytes: int


def garbage_of(directory: Path) -> tuple[Garbage, ...]:
    """The garbage of the sweep in ``directory``, which nobody runs; nothing is removed yet.

    Raises:
        JournalError, IllegalEvent: its journal cannot be read, so that nobody can say what is needed.
    """
    if not _has_records(directory):
        return (_garbage(directory, "a run that never started"),) if _is_ours(directory) else ()
    state = replay((record.time, record.event) for record in read_journal(directory))
    files = SweepFiles(directory)
    found = (
        *_of_trials(files, state),
        *_of_teacher(files),
        *_of_run(files),
        *_of_requests(files, state),
        *_of_farm(files, state),
    )
    return tuple(_garbage(path, why) for path, why in found)


def remove(garbage: Garbage) -> None:
    """Delete it; fine if it is gone already. Links are removed, not followed.

    Raises:
        OSError: it cannot be removed.
    """
    if garbage.path.is_dir() and not garbage.path.is_symlink():
        shutil.rmtree(garbage.path)
    else:
        garbage.path.unlink(missing_ok=True)


def _is_ours(directory: Path) -> bool:
    """True if a run made the directory, and nobody put anything else into it."""
    names = {path.name for path in directory.iterdir()}
    return LOCK_NAME in names and names <= OWN_NAMES


def _has_records(directory: Path) -> bool:
    """True if the journal holds a whole line, be it damaged."""
    try:
        return b"\n" in (directory / JOURNAL_NAME).read_bytes()
    except FileNotFoundError:
        return False


def _of_trials(files: SweepFiles, state: SweepState) -> Iterator[tuple[Path, str]]:
    removed = {files.trial(number).root for number, trial in state.trials.items() if not trial.has_files}
    kept = {files.trial(number).root for number in state.trials} - removed
    for path in _children(files.root / "trials"):
        if path in removed:
            yield path, "files of a trial that were to be removed"
        elif path in kept:
            yield from ((left, "a file half written") for kind in _TEMPORARY for left in path.rglob(kind))
        elif path.name.isdecimal():
            yield path, "a trial that the journal does not know"


def _of_teacher(files: SweepFiles) -> Iterator[tuple[Path, str]]:
    """Its checkpoint is kept as long as the sweep: whoever adds trials needs it."""
    yield from (
        (path, "a file half written") for kind in _TEMPORARY for path in files.teacher.root.glob(kind)
    )


def _of_run(files: SweepFiles) -> Iterator[tuple[Path, str]]:
    if os.path.lexists(files.ray):
        yield files.ray, "Ray's bookkeeping of a run"
    if os.path.lexists(files.stop_flag):
        yield files.stop_flag, "a run's flag to stop"


def _of_requests(files: SweepFiles, state: SweepState) -> Iterator[tuple[Path, str]]:
    for request in waiting(files.root):
        if not isinstance(request, AddTrials):
            yield path_of(files.root, request), "a request to a run that is over"
        elif request.id in state.requests:
            yield path_of(files.root, request), "a request that was carried out"
    yield from ((path, "no request") for path in leftovers(files.root))


def _of_farm(files: SweepFiles, state: SweepState) -> Iterator[tuple[Path, str]]:
    """The farm of the sweep's own machine; its models and answers are of use only to trials under way."""
    in_use = any(is_locked(lock) for lock in files.farm.glob(_FARM_LOCKS))
    if os.path.lexists(files.farm) and not state.unfinished and not in_use:
        yield files.farm, "the farm of a run; no trial is under way"


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _garbage(path: Path, why: str) -> Garbage:
    return Garbage(path, why, _size_bytes(path))


def _size_bytes(path: Path) -> int:
    """Of the file, or of all files in the folder; links count for themselves."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(path) for name in names)
