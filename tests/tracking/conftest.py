"""A small sweep with every way a trial can end, and empty stores to show it in."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from optuna.distributions import IntDistribution
from postgres import PostgresServer, postgres_server
from tracking_sweep import write_sweep

from sweep.lifecycle import Record
from sweep.search.told import FINAL_SCORE, Teller
from sweep.tracking.optuna_projection import OptunaProjection
from sweep.tracking.projection import MlflowProjection
from sweep.tracking.store import prepare_store


@dataclass(frozen=True)
class Place:
    """Where a test's sweep and its stores lie."""

    sweep: Path
    uri: str
    artifacts: Path
    optuna_url: str

    def projection(self) -> MlflowProjection:
        return MlflowProjection(self.uri, self.artifacts, self.sweep)

    def optuna_projection(self, teller: Teller | None = None) -> OptunaProjection:
        return OptunaProjection(self.optuna_url, teller or make_teller())


def make_teller() -> Teller:
    """What Optuna knows of the space from which `tracking_sweep` draws."""
    return Teller({"width": IntDistribution(0, 9)}, FINAL_SCORE, ())


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
    return _beside(tmp_path / "runs", migrated, tmp_path / "runs" / "demo")


@pytest.fixture
def other(tmp_path: Path, migrated: Path, place: Place) -> Place:
    """Further, empty stores for the same sweep."""
    return _beside(tmp_path / "other", migrated, place.sweep)


def _beside(folder: Path, migrated: Path, sweep: Path) -> Place:
    folder.mkdir()
    shutil.copy(migrated, folder / "mlflow.db")
    optuna_url = f"sqlite:///{folder / 'optuna.db'}"
    return Place(sweep, f"sqlite:///{folder / 'mlflow.db'}", folder / "mlflow-artifacts", optuna_url)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_database(postgres: PostgresServer) -> str:
    """The name of a database with MLflow's tables, made once, to be copied."""
    name = postgres.new_database()
    prepare_store(postgres.url(name))
    return name


@pytest.fixture
def new_place(place: Place, postgres: PostgresServer, migrated_database: str) -> Callable[[], Place]:
    """Makes places for the same sweep whose stores are empty databases of the server."""

    def make() -> Place:
        mlflow, optuna = postgres.new_database(migrated_database), postgres.new_database()
        return Place(place.sweep, postgres.url(mlflow), place.artifacts.parent / mlflow, postgres.url(optuna))

    return make


@pytest.fixture
def on_postgres(new_place: Callable[[], Place]) -> Place:
    return new_place()


@pytest.fixture
def records(place: Place) -> tuple[Record, ...]:
    return write_sweep(place.sweep)
