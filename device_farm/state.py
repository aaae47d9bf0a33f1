"""What coordinator and workers keep in their ``--state`` folders."""

import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from device_farm.acceptance import (
    HEADER_BYTES,
    MAX_MODEL_BYTES,
    check_model_header,
    check_model_size,
)

MAX_STORED_BYTES = 4 * 1024**3
_SHA256 = re.compile(r"[0-9a-f]{64}")


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


def stable_device_id(folder: Path) -> str:
    """The device's id, made at the first start and kept in the folder."""
    path = folder / "device_id"
    with suppress(FileNotFoundError):
        if kept := path.read_text(encoding="ascii").strip():
            return kept
    device_id = uuid.uuid4().hex
    _write_durably(path, device_id + "\n")
    return device_id


def _write_durably(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


class JobLog:
    """Appends what happened to jobs, one JSON object a line: for people and programs that look back."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def append(self, event: str, job_id: str, **details: Any) -> None:
        line = {"time": time.time(), "event": event, "job": job_id, **details}
        self._file.write(json.dumps(line, sort_keys=True) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class ModelStore:
    """Uploaded model files by content hash. The oldest go when the store is larger than ``max_bytes``."""

    def __init__(self, folder: Path, max_bytes: int = MAX_STORED_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.partial"):
            leftover.unlink()

    def path(self, sha256: str) -> Path | None:
        """Where the file with this hash lies, or None if it is not here."""
        if not _SHA256.fullmatch(sha256):
            return None
        path = self._folder / sha256
        return path if path.is_file() else None

    def begin_upload(self, max_model_bytes: int = MAX_MODEL_BYTES) -> "Upload":
        return Upload(self._folder, max_model_bytes)

    def trim(self, keep: Collection[str]) -> None:
        """Removes the files used least recently, except those in ``keep``, until the store fits."""
        files = sorted(
            ((path.stat().st_mtime_ns, path) for path in self._folder.iterdir() if path.is_file()),
            reverse=True,
        )
        total = 0
        for _, path in files:
            total += path.stat().st_size
            if total > self._max_bytes and path.name not in keep and path.suffix != ".partial":
                path.unlink()


class Upload:
    """One incoming file; as a context manager, whatever was not committed is removed."""

    def __init__(self, folder: Path, max_model_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_model_bytes
        self._size, self._header, self._hash = 0, b"", hashlib.sha256()

    def __enter__(self) -> Self:
        self._file: IO[bytes] = tempfile.NamedTemporaryFile(dir=self._folder, suffix=".partial", delete=False)
        return self

    def write(self, chunk: bytes) -> None:
        """Adds bytes; raises RefusedModel as soon as they cannot be a model that the farm takes."""
        self._size += len(chunk)
        check_model_size(self._size, self._max_bytes)
        if len(self._header) < HEADER_BYTES:
            self._header += chunk[: HEADER_BYTES - len(self._header)]
            if len(self._header) == HEADER_BYTES:
                check_model_header(self._header)
        self._hash.update(chunk)
        self._file.write(chunk)

    def commit(self) -> str:
        """Keeps the file and returns its SHA-256; raises RefusedModel if it is too short to be a model."""
        check_model_header(self._header)
        self._file.close()
        sha256 = self._hash.hexdigest()
        Path(self._file.name).replace(self._folder / sha256)
        return sha256

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        with suppress(FileNotFoundError):
            Path(self._file.name).unlink()
