"""What a teacher adds to the loss, from when on, and that a guided training can be cut anywhere."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from teaching import GUIDED, MIRRORED, make_teacher
from tiny_training import make_candidate

from sweep.data import Dataset
from sweep.models import build_network
from sweep.space.candidate import Candidate, Distillation
from sweep.training.checkpoint import CheckpointError, read_checkpoint
from sweep.training.distillation import Guidance
from sweep.training.teacher import Teacher, TeacherOutput
from sweep.training.trainer import EpochReport, Trainer

CPU = torch.device("cpu")
PLAIN = {"kind": "none"}


def guided(**recipe: Any) -> Candidate:
    return make_candidate(**{"distillation": GUIDED, **recipe})


def make_trainer(dataset: Dataset, candidate: Candidate, teacher: Teacher | None = None) -> Trainer:
    return Trainer(
        candidate,
        dataset,
        max_epochs=4,
        seed=0,
        device=CPU,
        threads=1,
        teacher=teacher or make_teacher(),
    )


def train(trainer: Trainer, epochs: int) -> list[EpochReport]:
    reports = [trainer.train_epoch() for _ in range(epochs)]
    return [dataclasses.replace(r, seconds=0.0, images_per_second=0.0, held_up_seconds=0.0) for r in reports]


def weights(trainer: Trainer) -> dict[str, Any]:
    return {name: value.tolist() for name, value in trainer.network.state_dict().items()}


def make_guidance(**weights: float) -> Guidance:
    torch.manual_seed(2)
    distillation = Distillation.model_validate(
        {"kind": "teacher", "start": 0, "depth": 0, "features": 0, "pairwise": 0, **weights}
    )
    return Guidance(distillation, build_network(make_candidate().architecture), teacher_channels=3)


def drawn_maps(channels: int) -> tuple[torch.Tensor, torch.Tensor, TeacherOutput]:
    generator = torch.Generator().manual_seed(4)
    log_depth, taught_depth = torch.randn(2, 2, 1, 4, 5, generator=generator)
    features = torch.randn(2, channels, 4, 5, generator=generator)
    return log_depth, features, TeacherOutput(taught_depth, torch.randn(2, 3, 4, 5, generator=generator))


def cosines(features: torch.Tensor) -> np.ndarray[Any, Any]:
    """(N, L, L) in float64, from the definition."""
    places = features.double().numpy().reshape(*features.shape[:2], -1)
    norms = np.sqrt((places**2).sum(axis=1))
    dots = np.einsum("nci,ncj->nij", places, places)
    return np.asarray(dots / (norms[:, :, None] * norms[:, None, :]))


def test_the_guidance_is_the_weighted_sum_of_its_formulas() -> None:
    guidance = make_guidance(depth=0.5, features=0.25, pairwise=2.0)
    assert guidance.projection is not None
    log_depth, features, taught = drawn_maps(guidance.projection.in_channels)
    weight = guidance.projection.weight.detach().double().numpy()[:, :, 0, 0]
    bias = guidance.projection.bias.detach().double().numpy()
    projected = np.einsum("oc,nchw->nohw", weight, features.double().numpy()) + bias[None, :, None, None]
    expected = (
        0.5 * np.abs((log_depth - taught.log_depth).double().numpy()).mean()
        + 0.25 * ((projected - taught.features.double().numpy()) ** 2).mean()
        + 2.0 * ((cosines(features) - cosines(taught.features)) ** 2).mean()
    )
    assert guidance.loss(log_depth, features, taught).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("weight", "needs_features", "projects"),
    [("depth", False, False), ("features", True, True), ("pairwise", True, False)],
)
def test_each_weight_needs_what_it_looks_at_and_no_more(
    weight: str, needs_features: bool, projects: bool
) -> None:
    guidance = make_guidance(**{weight: 1.0})
    assert guidance.needs_features is needs_features
    assert (guidance.projection is not None) is projects


def test_epochs_before_the_start_are_those_of_plain_training(tiny_dataset: Dataset) -> None:
    plain = make_trainer(tiny_dataset, make_candidate())
    trainer = make_trainer(tiny_dataset, guided())
    assert train(trainer, 2) == train(plain, 2)
    assert weights(trainer) == weights(plain)
    assert train(trainer, 1) != train(plain, 1)
    assert weights(trainer) != weights(plain)


@pytest.mark.parametrize("start", [0.0, 0.24, 0.99])
def test_the_last_epoch_is_always_guided(tiny_dataset: Dataset, start: float) -> None:
    trainer = make_trainer(tiny_dataset, guided(distillation={**GUIDED, "start": start}))
    assert trainer._guide is not None
    assert trainer._guide.first_epoch == math.floor(4 * start)
    assert trainer._guide.guides(3)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("augmentation", [MIRRORED, {**MIRRORED, "colour": 0.5}], ids=["kept", "anew"])
@pytest.mark.parametrize("cut", [1, 3])
def test_going_on_from_a_checkpoint_equals_never_having_stopped(
    tiny_dataset: Dataset, tmp_path: Path, cut: int, augmentation: dict[str, Any], optimizer: str
) -> None:
    settings = {"momentum": 0.9, "weight_decay": 0.001} if optimizer == "sgd" else {}
    candidate = guided(
        augmentation=augmentation, gradient_clip=0.5, optimizer={"kind": optimizer, **settings}
    )
    whole = make_trainer(tiny_dataset, candidate)
    reports = train(whole, 4)
    first = make_trainer(tiny_dataset, candidate)
    train(first, cut)
    first.save(tmp_path / "checkpoint.pt")
    second = make_trainer(tiny_dataset, candidate)
    second.restore(tmp_path / "checkpoint.pt")
    assert train(second, 4 - cut) == reports[cut:]
    assert weights(second) == weights(whole)
    for trainer, name in ((whole, "whole.pt"), (second, "second.pt")):
        trainer.save(tmp_path / name)
    states = [read_checkpoint(tmp_path / name, CPU) for name in ("whole.pt", "second.pt")]
    projections = [state["guidance"]["parameters"] for state in states]
    assert projections[0].keys() == projections[1].keys() == {"projection.weight", "projection.bias"}
    assert all(torch.equal(projections[0][name], projections[1][name]) for name in projections[0])


def test_the_projection_learns_and_is_no_part_of_the_network(tiny_dataset: Dataset, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_dataset, guided(distillation={**GUIDED, "start": 0}))
    plain = make_trainer(tiny_dataset, make_candidate())
    assert trainer._guide is not None
    assert trainer._guide.guidance.projection is not None
    before = trainer._guide.guidance.projection.weight.clone()
    trainer.train_epoch()
    assert not torch.equal(trainer._guide.guidance.projection.weight, before)
    trainer.save(tmp_path / "checkpoint.pt")
    state = read_checkpoint(tmp_path / "checkpoint.pt", CPU)
    assert state["network"].keys() == plain.network.state_dict().keys()


def test_a_student_comes_closer_to_its_teacher(tiny_dataset: Dataset) -> None:
    def distance(distillation: dict[str, Any]) -> float:
        candidate = make_candidate(
            augmentation=MIRRORED, distillation=distillation, learning_rate=0.02, batch_size=5
        )
        trainer = Trainer(
            candidate,
            tiny_dataset,
            max_epochs=30,
            seed=0,
            device=CPU,
            threads=1,
            teacher=make_teacher(),
        )
        for _ in range(30):
            trainer.train_epoch()
        (batch, _) = trainer._batches.epoch(0, 0)
        taught = make_teacher().teach(batch.images, trainer.network.output_size)
        trainer.network.eval()
        with torch.no_grad():
            return float((trainer.network(batch.images) - taught.log_depth).abs().mean())

    by_depth = {**GUIDED, "start": 0, "depth": 50.0, "features": 0, "pairwise": 0}
    assert distance(by_depth) < 0.5 * distance(PLAIN)


@pytest.mark.parametrize("name", ["depth", "features", "pairwise"])
def test_where_depth_is_unknown_makes_no_difference_to_the_guidance(tiny_dataset: Dataset, name: str) -> None:
    """All depths are unknown: the recipe's loss is zero, and what trains is the guidance alone."""
    distillation = {**GUIDED, "start": 0, "depth": 0, "features": 0, "pairwise": 0, name: 1.0}
    candidate = guided(distillation=distillation, augmentation=MIRRORED)
    losses = []
    for unknown_mm in (0, 1):
        train_split = dataclasses.replace(
            tiny_dataset.train, depth_mm=np.full_like(tiny_dataset.train.depth_mm, unknown_mm)
        )
        trainer = make_trainer(dataclasses.replace(tiny_dataset, train=train_split), candidate)
        losses.append((trainer.train_epoch().train_loss, weights(trainer)))
    assert losses[0] == losses[1]
    assert math.isfinite(losses[0][0])
    assert losses[0][0] > 0


def test_a_recipe_that_wants_a_teacher_is_not_trained_without(tiny_dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="distillation needs a teacher"):
        Trainer(guided(), tiny_dataset, max_epochs=4, seed=0, device=CPU, threads=1)


def test_a_checkpoint_of_another_teachers_student_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    make_trainer(tiny_dataset, guided()).save(tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="was saved by another run"):
        make_trainer(tiny_dataset, guided(), make_teacher(10)).restore(tmp_path / "checkpoint.pt")


def test_a_recipe_without_distillation_is_the_same_run_whoever_could_teach(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trainer = Trainer(make_candidate(), tiny_dataset, max_epochs=4, seed=0, device=CPU, threads=1)
    trainer.save(tmp_path / "checkpoint.pt")
    make_trainer(tiny_dataset, make_candidate()).restore(tmp_path / "checkpoint.pt")


def test_an_int8_student_is_guided_by_depth(tiny_dataset: Dataset) -> None:
    by_depth = {**GUIDED, "features": 0, "pairwise": 0}
    candidate = guided(quantization={"kind": "aware", "start": 0.5}, distillation=by_depth)
    unguided = make_candidate(quantization={"kind": "aware", "start": 0.5})
    reports = train(make_trainer(tiny_dataset, candidate), 4)
    assert all(math.isfinite(report.train_loss) for report in reports)
    assert reports[2:] != train(make_trainer(tiny_dataset, unguided), 4)[2:]
