"""The command that serves MLflow's dashboard for a store, and where in it a sweep is found."""

import os
import sys
from collections.abc import Mapping

from sweep.lifecycle.events import Json
from sweep.tracking.addresses import kind_of, normalised
from sweep.tracking.experiments import VIEW, find_experiments
from sweep.tracking.store import ENVIRONMENT, open_client


def dashboard_command(host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """The command line of an MLflow server; which store it serves is said by `dashboard_environment` alone.

    It takes 5 to 30 s to come up; ``/health`` then answers 200.
    """
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", host, "--port", str(port)),
        *("--workers", "1"),
    ]


def dashboard_environment(uri: str, artifacts: str) -> dict[str, str]:
    """This process's environment, with the store, without telemetry and without MLflow's job runners.

    The store's address goes this way because everybody on the machine can read command lines.

    Args:
        uri: a database; a tracking server is its own dashboard.
        artifacts: where new experiments put their files, a URI or path; from there the server hands them out.

    Raises:
        ValueError: ``uri`` names no database.
    """
    kind_of(uri, "MLflow store", ("sqlite", "postgresql"))
    return {
        **os.environ,
        **ENVIRONMENT,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": normalised(uri),
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
    }


def dashboard_address(server: str = "http://127.0.0.1:5000", experiment: str | None = None) -> str:
    """Where to point the browser: the experiment's trials by score, or the list of experiments."""
    address = f"{server.rstrip('/')}/#/experiments"
    if experiment is None:
        return f"{address}?workflowType=machine_learning"
    return f"{address}/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"


def experiment_of(uri: str, identity: Mapping[str, Json]) -> str | None:
    """The id of the experiment that holds the sweeps of ``identity`` in the store at ``uri``, if any.

    Raises:
        ValueError: ``uri`` names no store.
        ConnectionError: no database answers there.
    """
    found = find_experiments(open_client(uri), identity)
    return str(found[0].experiment_id) if found else None
