"""Uploaded model files: checked, kept under their content hash, within a bound."""

import hashlib
import os
import re
import tempfile
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from device_farm.model_files.model_check import (
    HEADER_BYTES,
    MAX_MODEL_BYTES,
    check_model,
    check_model_header,
    check_model_size,
)

MAX_STORED_BYTES = 4 * 1024**3
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
        self._file: IO[bytes] = tempfile.NamedTemporaryFile(
            "w+b", dir=self._folder, suffix=".partial", delete=False
        )
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
        """Keeps the file durably and returns its SHA-256; raises RefusedModel if it is no whole TFLite file."""
        check_model_header(self._header)
        self._file.flush()
        with ThreadPoolExecutor(1) as disk:  # it writes while the file is checked
            written = disk.submit(os.fsync, self._file.fileno())
            with mmap(self._file.fileno(), 0, access=ACCESS_READ) as data:
                check_model(data)
            written.result()
        self._file.close()
        sha256 = self._hash.hexdigest()
        Path(self._file.name).replace(self._folder / sha256)
        _sync_folder(self._folder)
        return sha256

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what cannot be written to a full disk is to be removed anyway
            self._file.close()
        with suppress(FileNotFoundError):
            Path(self._file.name).unlink()


def _sync_folder(folder: Path) -> None:
    """Makes a new name in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
