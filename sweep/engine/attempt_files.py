"""Where an attempt finds its data and checkpoints: in folders shared with the driver, or shipped by Ray."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.files import Checkpoints
from sweep.engine.shipping import Home, Station, find_station, is_dataset

STOP_POLL_S = 1.0
"""Seconds between two looks at a stop flag on another machine."""


class AttemptFiles(Protocol):
    """What one attempt reads and writes."""

    def dataset(self) -> Path:
        """The prepared data set, on a disk of this machine."""

    def start_checkpoint(self) -> AbstractContextManager[Path | None]:
        """A context that holds the training state to start from, None at the beginning of a training."""

    def teacher(self, path: str) -> AbstractContextManager[Path]:
        """A context that holds the teacher's checkpoint, which is ``path`` on the driver's machine."""

    def save(self, epoch: int, write: Callable[[Path], None]) -> str:
        """Have ``write`` make the training state after ``epoch``; durable for the driver on return.

        Returns:
            Its path on the driver's machine.

        Raises:
            OSError: a disk is full.
        """

    def stop_requested(self) -> bool:
        """True while the attempt should stop."""


def attempt_files(spec: AttemptSpec, home: Home | None) -> AttemptFiles:
    """The files of ``spec`` as this machine gets at them; without a ``home`` everything is on this machine."""
    if home is None:
        return SharedFiles(spec)
    if home.shares_folder:
        return SharedFiles(spec, home)
    return ShippedFiles(spec, home, find_station(home.station))


class SharedFiles:
    """The sweep's folder is here under the same path; the data set may have to be shipped all the same."""

    def __init__(self, spec: AttemptSpec, home: Home | None = None) -> None:
        self._spec = spec
        self._home = home

    def dataset(self) -> Path:
        """See `AttemptFiles`."""
        path = Path(self._spec.dataset_path)
        if self._home is None or is_dataset(path, self._home.dataset_fingerprint):
            return path
        station = find_station(self._home.station)
        return station.dataset(self._spec.dataset_path, self._home.dataset_fingerprint)

    @contextmanager
    def start_checkpoint(self) -> Iterator[Path | None]:
        """See `AttemptFiles`."""
        yield None if self._spec.checkpoint is None else Path(self._spec.checkpoint)

    @contextmanager
    def teacher(self, path: str) -> Iterator[Path]:
        """See `AttemptFiles`."""
        yield Path(path)

    def save(self, epoch: int, write: Callable[[Path], None]) -> str:
        """See `AttemptFiles`."""
        path = Checkpoints(Path(self._spec.checkpoint_directory)).of(epoch)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        return str(path)

    def stop_requested(self) -> bool:
        """See `AttemptFiles`."""
        return Path(self._spec.stop_flag).exists()


class ShippedFiles:
    """The sweep's folder is on another machine; files pass through this one's temporary folder."""

    def __init__(
        self, spec: AttemptSpec, home: Home, station: Station, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._spec = spec
        self._home = home
        self._station = station
        self._now = now
        self._looked = -STOP_POLL_S
        self._stop = False

    def dataset(self) -> Path:
        """See `AttemptFiles`."""
        path = Path(self._spec.dataset_path)
        if is_dataset(path, self._home.dataset_fingerprint):
            return path
        return self._station.dataset(self._spec.dataset_path, self._home.dataset_fingerprint)

    @contextmanager
    def start_checkpoint(self) -> Iterator[Path | None]:
        """See `AttemptFiles`."""
        if self._spec.checkpoint is None:
            yield None
            return
        with self._fetched(self._spec.checkpoint) as copy:
            yield copy

    def teacher(self, path: str) -> AbstractContextManager[Path]:
        """See `AttemptFiles`."""
        return self._fetched(path)

    @contextmanager
    def _fetched(self, path: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="depth-sweep-") as folder:
            copy = Path(folder) / Path(path).name
            self._station.fetch(path, copy)
            yield copy

    def save(self, epoch: int, write: Callable[[Path], None]) -> str:
        """See `AttemptFiles`."""
        path = Checkpoints(Path(self._spec.checkpoint_directory)).of(epoch)
        with tempfile.TemporaryDirectory(prefix="depth-sweep-") as folder:
            copy = Path(folder) / path.name
            write(copy)
            self._station.send(copy, str(path), f"attempt-{self._spec.attempt}")
        return str(path)

    def stop_requested(self) -> bool:
        """See `AttemptFiles`; looks at most once a second, and then waits for the answer."""
        if self._now() - self._looked >= STOP_POLL_S:
            self._looked = self._now()
            self._stop = self._station.stop_requested()
        return self._stop
