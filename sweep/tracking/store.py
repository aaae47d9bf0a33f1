"""Opening MLflow's store: SQLite, PostgreSQL or a tracking server, without telemetry or log noise.

MLflow's own file store is blocked since 3.17, so a local store is always a database: ``sqlite:////abs/mlflow.db``.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sweep.tracking.addresses import kind_of, normalised, redacted, scrubbed, sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}

_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""MLflow would try for minutes to reach a server; what could not be sent goes along with the next record."""

_CONNECT_S: Final = 10


def open_client(uri: str) -> "MlflowClient":
    """A client of the store at ``uri``, made if it is not there (seconds: MLflow runs all its migrations).

    Nothing global is set but environment variables, which have to be in place before MLflow is imported: those
    that switch telemetry off, and those for a server's patience unless they are set already.

    Raises:
        ValueError: ``uri`` names no store, or PostgreSQL's driver is not installed.
        ConnectionError: the store does not answer, refuses us or was made by another MLflow; the message holds no
            password.
    """
    kind = kind_of(uri, "MLflow store")
    if kind == "sqlite":
        sqlite_path(uri).parent.mkdir(parents=True, exist_ok=True)
    if kind == "postgresql":
        check_answers(uri)  # MLflow itself would try for a minute and a half
    os.environ.update(ENVIRONMENT)
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    for noisy in ("alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # its import sets INFO
    # It would print whole statements with all their values; who calls us reports the error itself.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    with _explained(uri):
        return MlflowClient(tracking_uri=normalised(uri), registry_uri=normalised(uri))


def prepare_store(uri: str) -> None:
    """Import MLflow and bring the store's tables up to date, so that a later `open_client` is quick.

    Meant for a background thread while the sweep prepares its data; join it before making a projection.

    Raises:
        ValueError: ``uri`` names no store, or PostgreSQL's driver is not installed.
        ConnectionError: the store does not answer, or refuses us; the message holds no password.
    """
    client = open_client(uri)
    with _explained(uri):
        client.search_experiments(max_results=1)


def check_answers(uri: str) -> None:
    """Connect to a database once.

    Raises:
        ValueError: its driver is not installed.
        ConnectionError: it does not answer within seconds, or refuses us; the message holds no password.
    """
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(
            normalised(uri), poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": _CONNECT_S}
        )
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{redacted(uri)} needs the module {error.name}; for PostgreSQL: pip install 'depth-sweep[postgres]'"
        ) from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise ValueError(f"{redacted(uri)}: {scrubbed(str(error), uri)}") from None
    try:
        engine.connect().close()
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = scrubbed(str(getattr(error, "orig", None) or error), uri)
        raise ConnectionError(f"{redacted(uri)}: {reason}") from None


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn whatever MLflow, its database or its server raise into one error that says no secret."""
    try:
        yield
    except Exception as error:
        raise ConnectionError(f"MLflow store {redacted(uri)}: {scrubbed(str(error), uri)}") from None
