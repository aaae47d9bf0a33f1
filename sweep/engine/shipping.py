"""Files for trainers on machines that do not see the sweep's folder, carried by Ray.

A `FileStation` is an actor on the driver's machine. It hands out the prepared data set and the checkpoints that
attempts start from, and takes finished checkpoints back: when `Station.send` returns, the file is durably on the
driver's disk, which is what the journal promises of each epoch that it records.
"""

import hashlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweep.data import Dataset, DatasetError, default_cache, load_dataset
from sweep.data.cache import build_once
from sweep.engine.files import SweepFiles

CHUNK_BYTES = 16 * 2**20
STATION_THREADS = 4
"""Calls that the station serves at once: a stop flag is read while a large file is on its way."""

Call = Callable[..., Any]
"""Calls one of `FileStation`'s methods by name with its arguments and returns its result."""


class NotServed(PermissionError):
    """A path outside the folders that the station serves."""


@dataclass(frozen=True)
class Home:
    """What a trainer must know of the driver's machine; plain data, it travels with each attempt.

    Attributes:
        station: name of the `FileStation` actor in the job's namespace.
        token_file: a file in the sweep's folder; whoever reads ``token`` there sees the folder.
        dataset_fingerprint: of the data set that attempts train on.
        boot_id: the running kernel; equal on another Ray node of the same machine, containers included.
    """

    station: str
    token_file: str
    token: str
    dataset_fingerprint: str
    boot_id: str

    def to_config(self) -> dict[str, str]:
        """Plain data for a Ray trial's config."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, str]) -> "Home":
        """The inverse of `to_config`."""
        return cls(**config)

    @property
    def shares_folder(self) -> bool:
        """True if this process sees the sweep's folder."""
        try:
            return Path(self.token_file).read_text("utf-8") == self.token
        except OSError:
            return False

    @property
    def is_this_machine(self) -> bool:
        """True if the driver's processes and this one run on the same cores."""
        return boot_id() == self.boot_id


def boot_id() -> str:
    """Stands for the running kernel; the host's name where the kernel has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return socket.gethostname()


class FileStation:
    """The driver's end: reads in two folders, writes in one. Stateless, so a restarted one goes on.

    Args:
        sweep_folder: read and written; ``stop_flag`` lies in it.
        dataset_folder: read.
        stop_flag: exists while trainers should stop.
    """

    def __init__(self, sweep_folder: str, dataset_folder: str, stop_flag: str) -> None:
        self._sweep_folder = Path(sweep_folder).resolve()
        self._dataset_folder = Path(dataset_folder).resolve()
        self._stop_flag = Path(stop_flag)

    def stop_requested(self) -> bool:
        """True while trainers should stop."""
        return self._stop_flag.exists()

    def sizes(self, folder: str) -> dict[str, int]:
        """The files directly in ``folder``, by name, with their sizes in bytes."""
        place = self._readable(folder)
        return {path.name: path.stat().st_size for path in sorted(place.iterdir()) if path.is_file()}

    def size(self, path: str) -> int:
        """The file's size in bytes."""
        return self._readable(path).stat().st_size

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes of the file from ``offset``."""
        with self._readable(path).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def write(self, path: str, sender: str, offset: int, data: bytes) -> None:
        """Write ``data`` at ``offset`` of what will be ``path`` once it is committed by the same sender."""
        part = self._part(path, sender)
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(data)

    def commit(self, path: str, sender: str, sha256: str) -> None:
        """Make what ``sender`` wrote durable under ``path``. May be repeated.

        Raises:
            OSError: the disk is full, or the content is not what was sent.
        """
        part, final = self._part(path, sender), self._writable(path)
        if not part.exists() and final.exists() and _sha256(final) == sha256:
            return
        if _sha256(part) != sha256:
            part.unlink()
            raise OSError(f"{final} arrived damaged")
        _sync(part)
        part.replace(final)
        _sync(final.parent)
        for remains in final.parent.glob(f".{final.name}.*.part"):  # of senders that died on the way
            remains.unlink(missing_ok=True)

    def _part(self, path: str, sender: str) -> Path:
        final = self._writable(path)
        return final.with_name(f".{final.name}.{sender}.part")

    def _readable(self, path: str) -> Path:
        return _inside(path, self._sweep_folder, self._dataset_folder)

    def _writable(self, path: str) -> Path:
        return _inside(path, self._sweep_folder)


def _inside(path: str, *folders: Path) -> Path:
    place = Path(path).resolve()
    if not any(place.is_relative_to(folder) for folder in folders):
        raise NotServed(f"{path} is not in {' or '.join(map(str, folders))}")
    return place


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Station:
    """The trainer's end; ``call`` reaches the `FileStation`."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def stop_requested(self) -> bool:
        """See `FileStation.stop_requested`."""
        return bool(self._call("stop_requested"))

    def fetch(self, path: str, to: Path) -> None:
        """Copy the driver's file ``path`` to ``to``.

        Raises:
            OSError: no such file there, or the disk here is full.
        """
        size: int = self._call("size", path)
        with to.open("wb") as file:
            while (have := file.tell()) < size:
                data: bytes = self._call("read", path, have, CHUNK_BYTES)
                if not data:
                    raise OSError(f"{path} ended at {have} of {size} bytes")
                file.write(data)

    def send(self, file: Path, path: str, sender: str) -> None:
        """Copy ``file`` to the driver's ``path``, durably; ``sender`` keeps copies under way apart.

        Raises:
            OSError: the disk there is full.
        """
        digest = hashlib.sha256()
        with file.open("rb") as source:
            for offset in range(0, max(1, file.stat().st_size), CHUNK_BYTES):
                digest.update(data := source.read(CHUNK_BYTES))
                self._call("write", path, sender, offset, data)
        self._call("commit", path, sender, digest.hexdigest())

    def dataset(self, path: str, fingerprint: str) -> Path:
        """A copy of the driver's data set ``path`` in this machine's cache, fetched once for all attempts.

        Raises:
            DatasetError: the cache cannot be written, its disk is full, or the copy is another data set.
        """

        def build(draft: Path) -> None:
            for name in self._call("sizes", path):
                self.fetch(f"{path}/{name}", draft / name)

        copy = build_once(default_cache(), f"shipped-{fingerprint}", _unseen, build)
        found = load_dataset(copy).fingerprint
        if found != fingerprint:
            raise DatasetError(str(copy), (f"{copy}: is {found}, not {fingerprint}",))
        return copy


def _unseen(_activity: str, _done: int, _total: int) -> None:
    """Nobody looks at a trainer's progress in fetching."""


def is_dataset(path: Path, fingerprint: str) -> bool:
    """True if the prepared data set of that fingerprint is at ``path``."""
    try:
        return load_dataset(path).fingerprint == fingerprint
    except DatasetError:
        return False


@contextmanager
def open_station(files: SweepFiles, dataset: Dataset, scheduling: Any) -> Iterator[Home]:
    """Run a `FileStation` for the sweep on the node that ``scheduling`` (a Ray strategy) names."""
    import ray

    token = secrets.token_hex(16)
    token_file = files.ray.resolve() / "station"
    token_file.parent.mkdir(parents=True, exist_ok=True)
    token_file.write_text(token, "utf-8")
    name = f"sweep-files-{token}"
    actor = (
        ray.remote(FileStation)
        .options(
            name=name,
            num_cpus=0,
            scheduling_strategy=scheduling,
            max_concurrency=STATION_THREADS,
            max_restarts=-1,
            max_task_retries=-1,
        )
        .remote(str(files.root.resolve()), str(dataset.path.resolve()), str(files.stop_flag))
    )
    try:
        yield Home(name, str(token_file), token, dataset.fingerprint, boot_id())
    finally:
        with suppress(ray.exceptions.RayError):
            ray.kill(actor)
        token_file.unlink(missing_ok=True)


def find_station(name: str) -> Station:
    """The station called ``name`` of this process's Ray job."""
    import ray

    actor = ray.get_actor(name)

    def call(method: str, *arguments: Any) -> Any:
        try:
            return ray.get(getattr(actor, method).remote(*arguments))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None  # what went wrong there, an OSError with its number for example

    return Station(call)
