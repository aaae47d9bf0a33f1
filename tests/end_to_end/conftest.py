"""A finished miniature sweep on real images, shared by the tests that look at what it left."""

import sys
from pathlib import Path

import pytest
from sweep_cli import SPACE, FinishedSweep, sweep

sys.path.append(str(Path(__file__).parents[1] / "data"))
from real_pairs import write_real_pairs


@pytest.fixture(scope="session")
def real_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_real_pairs(tmp_path_factory.mktemp("motorcycle"), train=8, validation=4)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, real_images: Path) -> FinishedSweep:
    runs = tmp_path_factory.mktemp("runs")
    done = sweep("run", SPACE, "--data", real_images, "--runs", runs, "--name", "mini", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    return FinishedSweep(runs, "mini", real_images, done.stdout)
