"""What a person asks of a sweep that is running: requests in files, which its driver polls.

The driver holds the sweep's lock, so nobody else may write its journal. A request is a small JSON file in
``requests/``, written whole or not at all. Its identifier starts with the time at which it was made, so that names
sort by time, and makes it count once: the driver records ``TrialsAdded`` with the identifier and removes the file
afterwards; should it die in between, `sweep.lifecycle.SweepState.requests` tells its successor.

A wish for more trials holds until a run takes it up. A wish to stop is for the run that was there when it was
made: `forget_stops` removes those that an earlier run died without answering.
"""

import json
import logging
import os
import re
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)

FOLDER = "requests"
_SUFFIX = ".json"
_REFUSED = ".refused"
_ID = re.compile(r"[0-9]{20}-[0-9a-f]{8}")


@dataclass(frozen=True)
class StopRequest:
    """End the sweep as Ctrl-C would."""

    id: str


@dataclass(frozen=True)
class AddTrials:
    """Try ``trials`` more candidates, at least 1."""

    id: str
    trials: int


Request = StopRequest | AddTrials
_KINDS: Mapping[str, Callable[..., Request]] = {"stop": StopRequest, "add_trials": AddTrials}


def new_id(now: Callable[[], float] = time.time) -> str:
    """An identifier that sorts after those made earlier; ``now`` is in seconds since the epoch."""
    return f"{int(now() * 1e6):020d}-{uuid.uuid4().hex[:8]}"


def asked_at(request: Request) -> float:
    """When the request was made, in seconds since the epoch."""
    return int(request.id.partition("-")[0]) / 1e6


def ask(files_root: Path, request: Request) -> None:
    """Leave ``request`` for the sweep in ``files_root``; it is on disk when this returns.

    Raises:
        OSError: it cannot be written; nothing was asked.
    """
    folder = files_root / FOLDER
    folder.mkdir(exist_ok=True)
    draft = folder / f".{request.id}.tmp"
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(_to_json(request), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path_of(files_root, request))
    finally:
        draft.unlink(missing_ok=True)


def pending(files_root: Path) -> tuple[Request, ...]:
    """The requests that wait, oldest first; cheap enough to be called every second.

    A file that is no request is renamed to end in ``.refused``, with a warning in the log. Never raises for what
    lies in the folder.
    """
    requests = []
    for path, found in _scan(files_root):
        if isinstance(found, Exception):
            _set_aside(path, found)
        else:
            requests.append(found)
    return tuple(requests)


def waiting(files_root: Path) -> tuple[Request, ...]:
    """As `pending`, for onlookers: what is no request is left where it lies."""
    return tuple(found for _, found in _scan(files_root) if not isinstance(found, Exception))


def leftovers(files_root: Path) -> tuple[Path, ...]:
    """Drafts that a kill left behind, and files that are no requests."""
    folder = files_root / FOLDER
    unread = [folder / name for name in _names(folder) if _is_unread(name)]
    return (*unread, *(path for path, found in _scan(files_root) if isinstance(found, Exception)))


def answered(files_root: Path, request: Request) -> None:
    """Remove ``request``: it has been carried out, recorded, or taken back."""
    path_of(files_root, request).unlink(missing_ok=True)


def waits(files_root: Path, request: Request) -> bool:
    """True if nobody has answered ``request`` yet."""
    return path_of(files_root, request).exists()


def forget_stops(files_root: Path, before: float) -> None:
    """Remove the requests to stop made earlier than ``before``, in seconds since the epoch.

    They were for a run that is no more. A new run calls it with the time at which it went for the sweep's lock.
    """
    for request in waiting(files_root):
        if isinstance(request, StopRequest) and asked_at(request) < before:
            answered(files_root, request)


def path_of(files_root: Path, request: Request) -> Path:
    """The file of ``request``, which need not exist."""
    return files_root / FOLDER / f"{request.id}{_SUFFIX}"


def _scan(files_root: Path) -> Iterator[tuple[Path, Request | Exception]]:
    """Every file that ought to be a request: the request, or why it is none."""
    folder = files_root / FOLDER
    for name in _names(folder):
        if _is_unread(name):
            continue
        try:
            yield folder / name, _read(folder / name)
        except FileNotFoundError:  # taken back since the folder was listed
            continue
        except (OSError, ValueError, RecursionError) as error:
            yield folder / name, error


def _is_unread(name: str) -> bool:
    return name.startswith(".") or name.endswith(_REFUSED)


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.warning("requests cannot be read: %s: %s", folder, error.strerror)
        return []


def _to_json(request: Request) -> dict[str, Any]:
    kind = next(name for name, cls in _KINDS.items() if type(request) is cls)
    return {"request": kind, **asdict(request)}


def _read(path: Path) -> Request:
    """The request in the file at ``path``.

    Raises:
        ValueError: it holds none, or another one than its name says.
        OSError: it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not an ordinary file")
    fields = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(fields, dict):
        raise ValueError(f"not a JSON object but {type(fields).__name__}")
    kind = fields.pop("request", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"request {kind!r}; known: {', '.join(_KINDS)}")
    try:
        request = _KINDS[kind](**fields)
    except TypeError as error:
        raise ValueError(str(error)) from None
    _check(request, path)
    return request


def _check(request: Request, path: Path) -> None:
    if not (isinstance(request.id, str) and _ID.fullmatch(request.id)):
        raise ValueError(f"id {request.id!r} is not of the form {_ID.pattern}")
    if path.name != f"{request.id}{_SUFFIX}":
        raise ValueError(f"the file is not named after its id {request.id}")
    if isinstance(request, AddTrials) and (type(request.trials) is not int or request.trials < 1):
        raise ValueError(f"trials {request.trials!r} is not a whole number from 1 on")


def _set_aside(path: Path, error: Exception) -> None:
    _log.warning("%s is no request and is set aside: %s", path, error)
    try:
        path.rename(path.with_name(path.name + _REFUSED))
    except OSError as failure:
        _log.warning("%s cannot be set aside: %s", path, failure.strerror)
