"""Checkpoints on disk."""

from pathlib import Path

import pytest
import torch

from sweep.training.checkpoint import CheckpointError, read_checkpoint, write_checkpoint

CPU = torch.device("cpu")


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path: Path) -> None:
    weights = torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last)
    write_checkpoint(tmp_path / "a.pt", {"epoch": 3, "weights": weights})
    state = read_checkpoint(tmp_path / "a.pt", CPU)
    assert state["epoch"] == 3
    assert torch.equal(state["weights"], weights)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_write_that_fails_leaves_the_old_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a.pt", {"epoch": 3})
    with pytest.raises((TypeError, AttributeError)):
        write_checkpoint(tmp_path / "a.pt", {"epoch": 4, "not picklable": lambda: None})
    assert read_checkpoint(tmp_path / "a.pt", CPU) == {"epoch": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("keep", [0, 1, 100, 500])
def test_a_damaged_checkpoint_is_an_error_that_names_the_file(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.pt"
    write_checkpoint(path, {"weights": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"a\.pt"):
        read_checkpoint(path, CPU)


def test_a_file_that_is_no_training_state_is_an_error(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match=r"list\.pt holds a list"):
        read_checkpoint(tmp_path / "list.pt", CPU)


def test_a_missing_checkpoint_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "none.pt", CPU)
