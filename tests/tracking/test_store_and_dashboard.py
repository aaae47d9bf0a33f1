"""Addresses of the store, and the dashboard's server."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from sweep.tracking.dashboard import (
    dashboard_address,
    dashboard_command,
    dashboard_environment,
    experiment_of,
)
from sweep.tracking.store import prepare_store


@pytest.mark.parametrize(
    "uri", ["mlruns", "sqlite:///relative.db", "postgresql://host/db", "file:///tmp/mlruns"]
)
def test_only_absolute_sqlite_addresses_are_stores(uri):
    with pytest.raises(ValueError, match=r"must be sqlite:/// and an absolute path"):
        prepare_store(uri)


def test_the_command_serves_the_store_and_its_artifacts_on_loopback():
    assert dashboard_command("sqlite:////runs/mlflow.db", port=5001) == [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", "sqlite:////runs/mlflow.db"),
        *("--artifacts-destination", "/runs/mlflow-artifacts"),
        *("--host", "127.0.0.1", "--port", "5001"),
        *("--workers", "1"),
    ]
    assert dashboard_environment()["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_the_address_leads_to_the_experiments_trials_by_score(place, records):
    identity = records[0].event.identity
    assert experiment_of(place.uri, identity) is None
    assert dashboard_address() == "http://127.0.0.1:5000/#/experiments?workflowType=machine_learning"
    place.projection().catch_up(records)
    assert dashboard_address(port=5001, experiment=experiment_of(place.uri, identity)) == (
        "http://127.0.0.1:5001/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=scores"
    )


@pytest.fixture
def dashboard(place, records, tmp_path) -> Iterator[str]:
    place.projection().catch_up(records)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            dashboard_command(place.uri, port=port), env=dashboard_environment(), stdout=log, stderr=log
        )
        address = f"http://127.0.0.1:{port}"
        try:
            while not _healthy(address):
                assert server.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.2)
            yield address
        finally:
            server.terminate()
            server.wait()


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, TimeoutError):
        return False


@pytest.mark.long
def test_the_dashboard_comes_up_and_serves_runs_and_files(dashboard):
    query = {"experiment_ids": ["1"], "filter": "metrics.final_score > 500"}
    request = urllib.request.Request(
        f"{dashboard}/api/2.0/mlflow/runs/search",
        json.dumps(query).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        (run,) = json.load(answer)["runs"]
    assert run["info"]["run_name"] == "trial 0 of demo"
    file = f"{dashboard}/get-artifact?run_id={run['info']['run_id']}&path=model.tflite"
    with urllib.request.urlopen(file) as answer:
        assert answer.read() == b"model.tflite of trial 0"
