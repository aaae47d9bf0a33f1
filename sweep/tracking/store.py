"""Opening MLflow's store: SQLite, without telemetry, network or log noise.

MLflow's own file store is blocked since 3.17, so the store is always a database: ``sqlite:////abs/mlflow.db``.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_SQLITE: Final = "sqlite:///"


def open_client(uri: str) -> "MlflowClient":
    """A client of the store at ``uri``, made if it is not there (seconds: MLflow runs all its migrations).

    Nothing global is set but the environment variables that switch telemetry off, which have to be in place
    before MLflow is imported.

    Raises:
        ValueError: ``uri`` is not an absolute SQLite address.
    """
    database = database_path(uri)
    database.parent.mkdir(parents=True, exist_ok=True)
    os.environ.update(ENVIRONMENT)
    for noisy in ("alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # its import sets INFO
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def prepare_store(uri: str) -> None:
    """Import MLflow and bring the store's tables up to date, so that a later `open_client` is quick.

    Meant for a background thread while the sweep prepares its data; join it before making a projection.

    Raises:
        ValueError: ``uri`` is not an absolute SQLite address.
    """
    open_client(uri).search_experiments(max_results=1)


def database_path(uri: str) -> Path:
    """The file of a SQLite address.

    Raises:
        ValueError: it is none, or a relative one.
    """
    path = Path(uri.removeprefix(_SQLITE))
    if not uri.startswith(_SQLITE) or not path.is_absolute():
        raise ValueError(f"MLflow store {uri!r}: must be sqlite:/// and an absolute path")
    return path
