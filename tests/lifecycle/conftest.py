"""Temporary folders in memory where there is such a thing: these tests sync to the disk thousands of times."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="depth-sweep-") as folder:
        yield Path(folder)
