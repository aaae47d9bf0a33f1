"""A small sweep with every way a trial can end, and an empty MLflow store to show it in."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tracking_sweep import write_sweep

from sweep.lifecycle import Record
from sweep.tracking.projection import MlflowProjection
from sweep.tracking.store import prepare_store


@dataclass(frozen=True)
class Place:
    """Where a test's sweep and its store lie."""

    sweep: Path
    uri: str
    artifacts: Path

    def projection(self) -> MlflowProjection:
        return MlflowProjection(self.uri, self.artifacts, self.sweep)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a thing: SQLite syncs to the disk at every change."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="depth-sweep-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store, made once: the migrations take seconds."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    prepare_store(f"sqlite:///{database}")
    return database


@pytest.fixture
def place(tmp_path: Path, migrated: Path) -> Place:
    database = tmp_path / "runs" / "mlflow.db"
    database.parent.mkdir()
    shutil.copy(migrated, database)
    return Place(tmp_path / "runs" / "demo", f"sqlite:///{database}", tmp_path / "runs" / "mlflow-artifacts")


@pytest.fixture
def other(tmp_path: Path, migrated: Path, place: Place) -> Place:
    """A second, empty store for the same sweep."""
    shutil.copy(migrated, tmp_path / "other.db")
    return Place(place.sweep, f"sqlite:///{tmp_path / 'other.db'}", tmp_path / "other-artifacts")


@pytest.fixture
def records(place: Place) -> tuple[Record, ...]:
    return write_sweep(place.sweep)
