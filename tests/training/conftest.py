"""A tiny data set for training."""

from pathlib import Path

import pytest
from tiny_training import make_split

from sweep.data import Dataset


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Dataset:
    """Ten training frames of 48x64 and three validation frames of 96x128."""
    return Dataset(
        name="boxes",
        fingerprint="0123456789abcdef",
        path=tmp_path,
        train=make_split(10, 48, 64, seed=1),
        validation=make_split(3, 96, 128, seed=2),
        is_demo=True,
    )
