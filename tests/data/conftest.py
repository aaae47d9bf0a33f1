from pathlib import Path

import pytest
from real_pairs import write_real_pairs

from sweep.data import Dataset, DemoSize, prepare_dataset


@pytest.fixture
def real_pairs(tmp_path: Path) -> Path:
    """A folder in the challenge's layout with four training and two validation pairs of a real scene."""
    return write_real_pairs(tmp_path / "motorcycle")


@pytest.fixture(scope="session")
def tiny_demo(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Demo data of twelve training and four validation pairs."""
    cache = tmp_path_factory.mktemp("cache")
    return prepare_dataset(None, cache, lambda *_: None, demo_size=DemoSize(12, 4))
