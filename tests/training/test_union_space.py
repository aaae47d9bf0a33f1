"""Any candidate of the space of all systems' parts trains for a step, is exported, and agrees with its file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from tiny_training import make_split

from sweep.data import Dataset
from sweep.export import export_network
from sweep.export.interpreter import TFLiteRunner
from sweep.models import build_network
from sweep.models.untrained import settle_batch_norm
from sweep.space import Space, load_space
from sweep.space.candidate import Candidate
from sweep.space.problems import ImpossibleCandidate
from sweep.training.teacher import Teacher
from sweep.training.trainer import Trainer

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 480, 640, 3), np.uint8)


class HypothesisSuggest:
    """Chooses as Hypothesis does, so that a failing candidate shrinks."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def categorical(self, name: str, options: tuple) -> object:
        return self._data.draw(st.sampled_from(options), name)

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int:
        return low + step * self._data.draw(st.integers(0, (high - low) // step), name)

    def real(self, name: str, low: float, high: float, log: bool) -> float:
        return self._data.draw(st.floats(low, high), name)


@pytest.fixture(scope="module")
def union() -> Space:
    return load_space("search_spaces/mai2022/all.yaml")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two frames to train on: one step, whatever the batch size."""
    train, validation = make_split(2, 96, 128, seed=1), make_split(1, 96, 128, seed=2)
    return Dataset(
        "boxes", "0123456789abcdef", tmp_path_factory.mktemp("boxes"), train, validation, is_demo=True
    )


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    """A small one, with random weights."""
    torch.manual_seed(0)
    space = load_space("mobilenetv3")
    return Teacher(build_network(space.candidate(first_start(space)).architecture), "0" * 16)


def first_start(space: Space) -> dict:
    """A whole assignment that the space itself starts from."""
    return space.start_from[0]


def check(space: Space, data: st.DataObject, pairs: Dataset, teacher: Teacher, folder: Path) -> None:
    try:
        candidate = space.candidate(space.sample(HypothesisSuggest(data)))
    except ImpossibleCandidate:  # such as all losses 0
        reject()
    network = trained_for_a_step(candidate, pairs, teacher)
    settle_batch_norm(network, FRAMES)
    exported = export_network(network, folder, FRAMES)
    with torch.no_grad():
        expected = network.depth_mm(torch.from_numpy(FRAMES[:1]).permute(0, 3, 1, 2).float())[0, 0].numpy()
    found = TFLiteRunner(exported.tflite).predict(FRAMES[0])
    assert np.abs(found / expected - 1).max() <= 1e-3


def trained_for_a_step(candidate: Candidate, pairs: Dataset, teacher: Teacher) -> torch.nn.Module:
    trainer = Trainer(
        candidate, pairs, max_epochs=1, seed=0, device=torch.device("cpu"), threads=1, teacher=teacher
    )
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    trainer.train_epoch()
    moved = [
        name for name, value in trainer.network.named_parameters() if not torch.equal(value, before[name])
    ]
    assert moved
    assert all(value.isfinite().all() for value in trainer.network.parameters())
    return trainer.network


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_candidate_trains_and_its_file_agrees(
    data: st.DataObject,
    union: Space,
    pairs: Dataset,
    teacher: Teacher,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check(union, data, pairs, teacher, tmp_path_factory.mktemp("union"))


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_two_hundred_candidates_train_and_their_files_agree(
    data: st.DataObject,
    union: Space,
    pairs: Dataset,
    teacher: Teacher,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check(union, data, pairs, teacher, tmp_path_factory.mktemp("union"))
