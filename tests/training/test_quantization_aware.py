"""Training that is aware of quantisation: when it starts, what it keeps, and that it can be cut anywhere."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_training import make_candidate, make_split

from sweep.data import Dataset
from sweep.space import RandomSuggest, load_space
from sweep.space.candidate import Candidate
from sweep.training.checkpoint import read_checkpoint
from sweep.training.trainer import Diverged, EpochReport, Trainer

SPACE = load_space("mobilenetv3")
CPU = torch.device("cpu")
FAST: dict[str, Any] = {"learning_rate": 0.02, "batch_size": 5}


def aware(start: float, **recipe: Any) -> Candidate:
    return make_candidate(quantization={"kind": "aware", "start": start}, **recipe)


def make_trainer(dataset: Dataset, candidate: Candidate, max_epochs: int = 4) -> Trainer:
    return Trainer(candidate, dataset, max_epochs=max_epochs, seed=0, device=CPU, threads=1)


def train(trainer: Trainer, epochs: int) -> list[EpochReport]:
    reports = [trainer.train_epoch() for _ in range(epochs)]
    return [dataclasses.replace(r, seconds=0.0, images_per_second=0.0, held_up_seconds=0.0) for r in reports]


def weights(trainer: Trainer) -> dict[str, Any]:
    return {name: value.tolist() for name, value in trainer.network.state_dict().items()}


@pytest.mark.parametrize(
    ("start", "max_epochs", "float_epochs"),
    [(0.5, 4, 2), (0.5, 5, 2), (0.99, 4, 3), (0.2, 4, 0), (0.0, 2, 0)],
)
def test_epochs_before_the_start_are_those_of_plain_training_and_the_last_one_never_is(
    tiny_dataset: Dataset, start: float, max_epochs: int, float_epochs: int
) -> None:
    plain = make_trainer(tiny_dataset, make_candidate(), max_epochs)
    trainer = make_trainer(tiny_dataset, aware(start), max_epochs)
    assert train(trainer, float_epochs) == train(plain, float_epochs)
    assert weights(trainer) == weights(plain)
    assert train(trainer, 1) != train(plain, 1)
    assert weights(trainer) != weights(plain)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_going_on_from_a_checkpoint_equals_never_having_stopped(
    tiny_dataset: Dataset, tmp_path: Path, cut: int
) -> None:
    whole = make_trainer(tiny_dataset, aware(0.5))
    reports = train(whole, 4)
    first = make_trainer(tiny_dataset, aware(0.5))
    train(first, cut)
    first.save(tmp_path / "checkpoint.pt")
    second = make_trainer(tiny_dataset, aware(0.5))
    second.restore(tmp_path / "checkpoint.pt")
    assert train(second, 4 - cut) == reports[cut:]
    assert weights(second) == weights(whole)
    for trainer, name in ((whole, "whole.pt"), (second, "second.pt")):
        trainer.save(tmp_path / name)
    states = [read_checkpoint(tmp_path / name, CPU)["int8_ranges"] for name in ("whole.pt", "second.pt")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_checkpoint_holds_the_plain_network_and_the_ranges_apart(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    plain, trainer = make_trainer(tiny_dataset, make_candidate()), make_trainer(tiny_dataset, aware(0.0))
    train(trainer, 1)
    trainer.save(tmp_path / "aware.pt")
    plain.save(tmp_path / "plain.pt")
    state, other = (read_checkpoint(tmp_path / name, CPU) for name in ("aware.pt", "plain.pt"))
    assert state.keys() - other.keys() == {"int8_ranges"}
    assert list(state["network"]) == list(other["network"])
    plain.network.load_state_dict(state["network"])
    ranges = state["int8_ranges"]
    lows = [value for name, value in ranges.items() if name.endswith(".low")]
    highs = [value for name, value in ranges.items() if name.endswith(".high")]
    assert len(lows) == len(highs) == 18
    assert all(low <= 0 <= high and low < high for low, high in zip(lows, highs, strict=True))
    # Two steps an epoch; validation moves no range.
    assert {int(value) for name, value in ranges.items() if name.endswith(".batches")} == {2}


def test_a_tiny_network_learns_a_few_pictures_on_int8_numbers(tiny_dataset: Dataset) -> None:
    still = {"flip": False, "crop": {"kind": "none"}, "colour": 0}
    dataset = dataclasses.replace(tiny_dataset, validation=tiny_dataset.train)
    trainer = make_trainer(dataset, aware(0.25, augmentation=still, **FAST), max_epochs=40)
    reports = train(trainer, 40)
    assert reports[-1].train_loss < reports[0].train_loss / 3
    assert reports[-1].si_rmse < 0.4 * reports[0].si_rmse


def test_the_reported_partial_score_is_that_of_int8_arithmetic(tiny_dataset: Dataset) -> None:
    trainer = make_trainer(tiny_dataset, aware(0.0, **FAST))
    (report,) = train(trainer, 1)
    in_float = trainer._validator.si_rmse(trainer._hold_up)
    on_int8 = trainer._validator.si_rmse(trainer._hold_up, trainer._int8)
    assert report.si_rmse == pytest.approx(on_int8, rel=1e-7)
    assert 1e-5 < abs(on_int8 - in_float) < 0.1 * in_float


def test_a_network_that_breaks_on_int8_numbers_says_so(tiny_dataset: Dataset) -> None:
    trainer = make_trainer(tiny_dataset, aware(0.0))
    torch.nn.init.constant_(trainer.network.encoder.stem.conv.weight, float("inf"))
    with pytest.raises(Diverged, match="in epoch 1, in step 1"):
        trainer.train_epoch()


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_every_candidate_of_the_bundled_space_can_train_so(tiny_dataset: Dataset, seed: int) -> None:
    _, drawn = SPACE.draw(RandomSuggest(seed))
    values = drawn.model_dump(mode="json")
    values["architecture"]["input"] |= {"height": 32, "width": 64}
    values["recipe"] |= {"batch_size": 2, "quantization": {"kind": "aware", "start": 0.0}}
    dataset = dataclasses.replace(tiny_dataset, train=make_split(4, 48, 64, seed=1))
    trainer = make_trainer(dataset, Candidate.model_validate(values), max_epochs=1)
    before = weights(trainer)
    (report,) = train(trainer, 1)
    assert 0 < report.train_loss < 100
    assert 0 < report.si_rmse < 10
    assert weights(trainer) != before
