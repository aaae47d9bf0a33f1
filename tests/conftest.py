"""Fixtures and rules for all tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Started in the background by a shell, these tests would ignore Ctrl-C, and so would every program they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that need what this machine lacks (TFLite 2.5.0, a GPU, emulation, PostgreSQL) are deselected."""
    missing = [
        marker
        for marker, present in (
            ("tflite25", bool(os.environ.get("DEPTH_SWEEP_TFLITE25_PYTHON"))),
            ("gpu", Path("/dev/nvidiactl").exists()),
            ("postgres", any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))),
            ("arm64", bool(os.environ.get("DEPTH_SWEEP_ARM64_ROOT"))),
        )
        if not present
    ]
    needing = {item for item in items if any(item.get_closest_marker(marker) for marker in missing)}
    config.hook.pytest_deselected(items=list(needing))
    items[:] = [item for item in items if item not in needing]


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tests never touch the person's cache of prepared data."""
    before = os.environ.get("DEPTH_SWEEP_CACHE")
    cache = tmp_path_factory.mktemp("cache")
    os.environ["DEPTH_SWEEP_CACHE"] = str(cache)
    yield cache
    if before is None:
        del os.environ["DEPTH_SWEEP_CACHE"]
    else:
        os.environ["DEPTH_SWEEP_CACHE"] = before
