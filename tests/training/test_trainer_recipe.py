"""What the recipe says of gradients, of arithmetic and of the first weights."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import make_candidate

from sweep.data import Dataset
from sweep.models.pretrained_sources import PretrainedError
from sweep.space.candidate import Candidate
from sweep.training.checkpoint import write_checkpoint
from sweep.training.trainer import EpochReport, Trainer

CPU = torch.device("cpu")
SGD = {"kind": "sgd", "momentum": 0.0, "weight_decay": 0.0}
LEARNING_RATE = 0.5


def make_trainer(dataset: Dataset, candidate: Candidate, max_epochs: int = 4, seed: int = 0) -> Trainer:
    return Trainer(candidate, dataset, max_epochs=max_epochs, seed=seed, device=CPU, threads=1)


def train(trainer: Trainer, epochs: int) -> list[EpochReport]:
    reports = [trainer.train_epoch() for _ in range(epochs)]
    return [dataclasses.replace(r, seconds=0.0, images_per_second=0.0, held_up_seconds=0.0) for r in reports]


def first_step(dataset: Dataset, **recipe: Any) -> tuple[list[torch.Tensor], float]:
    """How plain descent moved each parameter in the only step, over the learning rate; and that rate."""
    candidate = make_candidate(optimizer=SGD, learning_rate=LEARNING_RATE, batch_size=10, **recipe)
    trainer = make_trainer(dataset, candidate, max_epochs=1)
    before = [parameter.detach().clone() for parameter in trainer.network.parameters()]
    rate = trainer.train_epoch().learning_rate
    after = trainer.network.parameters()
    return [(old - new.detach()) / rate for old, new in zip(before, after, strict=True)], rate


def norm(gradients: list[torch.Tensor]) -> float:
    return float(torch.cat([gradient.double().flatten() for gradient in gradients]).norm())


def test_clipping_scales_all_gradients_together_to_the_largest_norm(tiny_dataset: Dataset) -> None:
    free, _ = first_step(tiny_dataset)
    limit = norm(free) / 7
    clipped, _ = first_step(tiny_dataset, gradient_clip=limit)
    assert norm(clipped) == pytest.approx(limit, rel=1e-3)
    for whole, part in zip(free, clipped, strict=True):
        torch.testing.assert_close(7 * part, whole, rtol=1e-3, atol=1e-4)


def test_gradients_below_the_limit_stay_as_they_are(tiny_dataset: Dataset) -> None:
    free, _ = first_step(tiny_dataset)
    clipped, _ = first_step(tiny_dataset, gradient_clip=norm(free) * 2)
    assert all(torch.equal(a, b) for a, b in zip(free, clipped, strict=True))


def test_on_a_cpu_auto_is_float32_and_bfloat16_must_be_asked_for(tiny_dataset: Dataset) -> None:
    auto, exact, half = (
        train(make_trainer(tiny_dataset, make_candidate(precision=precision)), 2)
        for precision in ("auto", "float32", "bfloat16")
    )
    assert auto == exact
    assert half != exact
    assert half[0].train_loss == pytest.approx(exact[0].train_loss, rel=0.05)


def test_weights_and_checkpoints_are_float32_whatever_the_arithmetic(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trainer = make_trainer(tiny_dataset, make_candidate(precision="bfloat16"))
    trainer.train_epoch()
    assert {p.dtype for p in trainer.network.parameters()} == {torch.float32}
    trainer.save(tmp_path / "checkpoint.pt")
    other = make_trainer(tiny_dataset, make_candidate(precision="bfloat16"))
    other.restore(tmp_path / "checkpoint.pt")
    assert train(other, 1) == train(trainer, 1)


def test_int8_epochs_are_float32_though_the_recipe_asks_for_bfloat16(tiny_dataset: Dataset) -> None:
    aware = {"kind": "aware", "start": 0.0}
    half, exact = (
        train(make_trainer(tiny_dataset, make_candidate(quantization=aware, precision=precision)), 1)
        for precision in ("bfloat16", "float32")
    )
    assert half == exact


def write_encoder(path: Path, dataset: Dataset, seed: int) -> dict[str, torch.Tensor]:
    """The weights of a trainer's own encoder, as a file."""
    encoder = make_trainer(dataset, make_candidate(), seed=seed).network.encoder
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    write_checkpoint(path, state)
    return state


def test_training_begins_with_the_pretrained_encoder_and_says_what_fitted(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    state = write_encoder(tmp_path / "encoder.pt", tiny_dataset, seed=8)
    pretrained = {"kind": "file", "path": str(tmp_path / "encoder.pt")}
    trainer = make_trainer(tiny_dataset, make_candidate(pretrained=pretrained, learning_rate=1e-12))
    plain = make_trainer(tiny_dataset, make_candidate())
    assert trainer.pretrained is None
    trainer.train_epoch()
    assert trainer.pretrained is not None
    assert trainer.pretrained.complete
    for name, parameter in trainer.network.encoder.named_parameters():
        torch.testing.assert_close(parameter.detach(), state[name], rtol=0, atol=1e-9)
    torch.testing.assert_close(trainer.network.head.weight, plain.network.head.weight, rtol=0, atol=1e-9)


def test_an_attempt_that_goes_on_does_not_begin_again(tiny_dataset: Dataset, tmp_path: Path) -> None:
    write_encoder(tmp_path / "encoder.pt", tiny_dataset, seed=8)
    candidate = make_candidate(pretrained={"kind": "file", "path": str(tmp_path / "encoder.pt")})
    whole, first = (make_trainer(tiny_dataset, candidate) for _ in range(2))
    reports = train(whole, 2)
    train(first, 1)
    first.save(tmp_path / "checkpoint.pt")
    (tmp_path / "encoder.pt").unlink()
    second = make_trainer(tiny_dataset, candidate)
    second.restore(tmp_path / "checkpoint.pt")
    assert train(second, 1) == reports[1:]
    assert second.pretrained is None


def test_weights_that_are_not_there_are_an_error_of_their_own(tiny_dataset: Dataset, tmp_path: Path) -> None:
    candidate = make_candidate(pretrained={"kind": "file", "path": str(tmp_path / "none.pt")})
    with pytest.raises(PretrainedError, match=r"none\.pt"):
        make_trainer(tiny_dataset, candidate).train_epoch()
