"""Addresses of the store, and the dashboard's server."""

import json
import socket
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from mlflow_server import mlflow_server

from sweep.tracking.dashboard import (
    dashboard_address,
    dashboard_command,
    dashboard_environment,
    experiment_of,
)
from sweep.tracking.store import prepare_store


@pytest.mark.parametrize("uri", ["mlruns", "sqlite:///relative.db", "mysql://user:secret@host/db"])
def test_what_is_no_store_is_refused_without_its_password(uri):
    with pytest.raises(ValueError, match=r"must be sqlite:/// and an absolute path") as refused:
        prepare_store(uri)
    assert "secret" not in str(refused.value)


def test_a_database_that_does_not_answer_is_told_in_one_line_without_its_password():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and never listens
        address = f"127.0.0.1:{deaf.getsockname()[1]}/mlflow"
        with pytest.raises(ConnectionError) as refused:
            prepare_store(f"postgresql://sweep:hunter2@{address}")
    assert str(refused.value).startswith(f"postgresql://sweep:***@{address}: ")
    assert "Connection refused" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_server_that_does_not_answer_is_told_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(ConnectionError) as refused:
            prepare_store(f"http://sweep:hunter2@{address}")
    assert str(refused.value).startswith(f"MLflow store http://***@{address}: ")
    assert "hunter2" not in str(refused.value)


def test_the_command_serves_the_store_and_its_artifacts_on_loopback():
    uri = "postgresql://sweep:hunter2@db/mlflow"
    assert dashboard_command(port=5001) == [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", "127.0.0.1", "--port", "5001"),
        *("--workers", "1"),
    ]
    environment = dashboard_environment(uri, "/runs/mlflow-artifacts")
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg://sweep:hunter2@db/mlflow"
    assert environment["MLFLOW_ARTIFACTS_DESTINATION"] == "/runs/mlflow-artifacts"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    with pytest.raises(ValueError, match="MLflow store 'http://server'"):
        dashboard_environment("http://server", "")


def test_the_address_leads_to_the_experiments_trials_by_score(place, records):
    identity = records[0].event.identity
    assert experiment_of(place.uri, identity) is None
    assert dashboard_address() == "http://127.0.0.1:5000/#/experiments?workflowType=machine_learning"
    place.projection().catch_up(records)
    assert dashboard_address("http://127.0.0.1:5001/", experiment_of(place.uri, identity)) == (
        "http://127.0.0.1:5001/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=scores"
    )


@pytest.fixture
def dashboard(place, records, tmp_path) -> Iterator[str]:
    place.projection().catch_up(records)
    with mlflow_server(place.uri, str(place.artifacts), tmp_path) as address:
        yield address


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
