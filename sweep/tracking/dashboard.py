"""The command that serves MLflow's dashboard for a store, and where in it a sweep is found."""

import os
import sys
from collections.abc import Mapping

from sweep.lifecycle.events import Json
from sweep.tracking.experiments import VIEW, find_experiment
from sweep.tracking.store import ENVIRONMENT, database_path, open_client


def dashboard_command(uri: str, host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """The command line of an MLflow server for the store at ``uri``; artifacts come from where runs put them.

    Run it with `dashboard_environment`. It takes 5 to 30 s to come up; ``/health`` then answers 200.

    Raises:
        ValueError: ``uri`` is not an absolute SQLite address.
    """
    artifacts = database_path(uri).parent / "mlflow-artifacts"
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", uri),
        *("--artifacts-destination", str(artifacts)),
        *("--host", host, "--port", str(port)),
        *("--workers", "1"),
    ]


def dashboard_environment() -> dict[str, str]:
    """This process's environment, without telemetry and without MLflow's job runners, which are not used."""
    return {**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def dashboard_address(host: str = "127.0.0.1", port: int = 5000, experiment: str | None = None) -> str:
    """Where to point the browser: the experiment's trials by Final Score, or the list of experiments."""
    address = f"http://{host}:{port}/#/experiments"
    if experiment is None:
        return f"{address}?workflowType=machine_learning"
    return f"{address}/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"


def experiment_of(uri: str, identity: Mapping[str, Json]) -> str | None:
    """The id of the experiment that holds the sweeps of ``identity`` in the store at ``uri``, if any.

    Raises:
        ValueError: ``uri`` is not an absolute SQLite address.
    """
    found = find_experiment(open_client(uri), identity)
    return None if found is None else str(found.experiment_id)
