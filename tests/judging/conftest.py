"""A small data set."""

from pathlib import Path

import pytest
from small_splits import make_split

from sweep.data import Dataset


@pytest.fixture
def small_dataset(tmp_path: Path) -> Dataset:
    """Six training frames of 12x16 and five validation frames of 24x32."""
    return Dataset(
        name="random",
        fingerprint="0123456789abcdef",
        path=tmp_path,
        train=make_split(6, 12, 16, seed=1),
        validation=make_split(5, 24, 32, seed=2),
        is_demo=True,
    )
