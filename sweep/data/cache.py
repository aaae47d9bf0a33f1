"""Prepared data sets on disk: built once, whole or not at all, and opened as memory maps.

A finished data set is a directory with ``manifest.json`` and one .npy file per array. It is built under a
temporary name beside its place, while a file lock keeps other processes from building the same one, and
renamed when complete. What a search reads and the held-out split are two such directories.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from sweep.data.dataset import JUDGE_SIZE, TRAIN_SIZE, Dataset, DatasetError, Split, TestSplit

FORMAT = 1
SIZES = {"train": TRAIN_SIZE, "validation": JUDGE_SIZE, "test": JUDGE_SIZE}
SEARCH_SPLITS = ("train", "validation")
HELD_OUT_SPLITS = ("test",)
Progress = Callable[[str, int, int], None]
_MANIFEST = "manifest.json"
_CHUNK = 1 << 24


def default_cache() -> Path:
    """$DEPTH_SWEEP_CACHE, else depth-sweep in $XDG_CACHE_HOME, else in ~/.cache."""
    if own := os.environ.get("DEPTH_SWEEP_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "depth-sweep"


def load_dataset(path: Path) -> Dataset:
    """Open a prepared data set; reads no pixels.

    Raises:
        DatasetError: there is no finished data set of this format at ``path``.
    """
    manifest, splits = _open(path, SEARCH_SPLITS, "data set")
    return Dataset(
        name=manifest["name"],
        fingerprint=manifest["fingerprint"],
        path=path,
        train=splits["train"],
        validation=splits["validation"],
        is_demo=manifest["is_demo"],
    )


def load_test_split(path: Path) -> TestSplit:
    """Open a prepared test split; reads no pixels.

    Raises:
        DatasetError: there is no finished test split of this format at ``path``.
    """
    manifest, splits = _open(path, HELD_OUT_SPLITS, "test split")
    return TestSplit(
        names=splits["test"].names,
        rgb=splits["test"].rgb,
        depth_mm=splits["test"].depth_mm,
        name=manifest["name"],
        fingerprint=manifest["fingerprint"],
        path=path,
        is_demo=manifest["is_demo"],
    )


def _open(path: Path, expected: tuple[str, ...], kind: str) -> tuple[dict[str, Any], dict[str, Split]]:
    """The manifest and the splits at ``path``, which must hold exactly the ``expected`` ones."""
    try:
        manifest = json.loads((path / _MANIFEST).read_text("utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}, this version reads {FORMAT}")
        if set(manifest["splits"]) != set(expected):
            raise ValueError(f"it holds {', '.join(manifest['splits'])}; allowed: {', '.join(expected)}")
        splits = {split: _open_split(path, split, manifest["splits"][split]) for split in expected}
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(str(path), (f"{path}: not a prepared {kind} ({error})",)) from error
    return manifest, splits


def _open_split(path: Path, split: str, names: list[str]) -> Split:
    rgb: NDArray[np.uint8] = np.load(_array_path(path, split, "rgb"), mmap_mode="r")
    depth_mm: NDArray[np.uint16] = np.load(_array_path(path, split, "depth_mm"), mmap_mode="r")
    return Split(tuple(names), rgb, depth_mm)


def _array_path(path: Path, split: str, kind: str) -> Path:
    return path / f"{split}_{kind}.npy"


def reserve_split(path: Path, split: str, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Writable maps for a split's pairs, with their disk space taken.

    Raises:
        OSError: the disk is full. (Writing to a map without reserved space would kill the process.)
    """
    height, width = SIZES[split]
    rgb = _reserve(_array_path(path, split, "rgb"), (count, height, width, 3), np.dtype(np.uint8))
    depth_mm = _reserve(_array_path(path, split, "depth_mm"), (count, height, width), np.dtype(np.uint16))
    return rgb, depth_mm


def _reserve(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def write_manifest(path: Path, name: str, names: dict[str, tuple[str, ...]], *, is_demo: bool) -> None:
    """Complete a data set whose arrays are written; ``names`` has the pairs' names by split."""
    manifest = {
        "format": FORMAT,
        "name": name,
        "fingerprint": _fingerprint(path, names),
        "is_demo": is_demo,
        "splits": {split: list(of_split) for split, of_split in names.items()},
    }
    (path / _MANIFEST).write_text(json.dumps(manifest), "utf-8")


def _fingerprint(path: Path, names: dict[str, tuple[str, ...]]) -> str:
    digest = hashlib.sha256()
    for split, of_split in names.items():
        digest.update(json.dumps([split, of_split]).encode())
        for kind in ("rgb", "depth_mm"):
            with _array_path(path, split, kind).open("rb") as file:
                while block := file.read(_CHUNK):
                    digest.update(block)
    return digest.hexdigest()[:16]


def key_of(parts: Iterable[object]) -> str:
    """16 hex digits that stand for the parts' values."""
    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode()).hexdigest()[:16]


def build_once(cache: Path, key: str, progress: Progress, build: Callable[[Path], None]) -> Path:
    """The directory ``key`` of the cache; ``build`` fills an empty one if it is not there yet.

    Raises:
        DatasetError: what ``build`` raises, or that the cache cannot be written or its disk is full.
    """
    final = cache / key
    if final.is_dir():
        return final
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _exclusive(cache / f"{key}.lock", progress):
            if not final.is_dir():
                _build_and_rename(cache, key, build)
    except OSError as error:
        hint = "; free some space or set DEPTH_SWEEP_CACHE" if error.errno == errno.ENOSPC else ""
        raise DatasetError(
            str(cache), (f"{cache}: cannot write the cache: {error.strerror}{hint}",)
        ) from error
    return final


def _exclusive(path: Path, progress: Progress) -> FileLock:
    """The lock, taken; says so when another process has it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("waiting for another process", 0, 1)
        lock.acquire()
        progress("waiting for another process", 1, 1)
    return lock


def _build_and_rename(cache: Path, key: str, build: Callable[[Path], None]) -> None:
    for remains in cache.glob(f"{key}.tmp-*"):  # of a process that was killed: this one holds the lock
        shutil.rmtree(remains, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{key}.tmp-", dir=cache))
    try:
        build(draft)
        draft.chmod(0o755)
        draft.rename(cache / key)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
