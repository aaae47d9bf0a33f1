"""Training: it learns, it can be cut anywhere, and it says when it diverges."""

import dataclasses
import itertools
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_training import make_candidate, make_split

from sweep.data import Dataset
from sweep.space.candidate import Candidate
from sweep.training.checkpoint import CheckpointError
from sweep.training.schedules import learning_rate_factor
from sweep.training.trainer import Diverged, EpochReport, Trainer

OPTIMIZERS: list[dict[str, Any]] = [
    {"kind": "adam"},
    {"kind": "adamw", "weight_decay": 0.01},
    {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.001},
]


def make_trainer(
    dataset: Dataset,
    candidate: Candidate | None = None,
    *,
    max_epochs: int = 4,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
    on_step: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Trainer:
    return Trainer(
        candidate or make_candidate(),
        dataset,
        max_epochs=max_epochs,
        seed=seed,
        device=torch.device(device),
        threads=threads,
        on_step=on_step,
    )


def train(trainer: Trainer, epochs: int) -> list[EpochReport]:
    return [trainer.train_epoch() for _ in range(epochs)]


def untimed(report: EpochReport) -> EpochReport:
    return dataclasses.replace(report, seconds=0.0, images_per_second=0.0, held_up_seconds=0.0)


def same_weights(left: Trainer, right: Trainer) -> bool:
    pairs = zip(left.network.state_dict().items(), right.network.state_dict().items(), strict=True)
    return all(name == other and torch.equal(a, b) for (name, a), (other, b) in pairs)


def test_a_tiny_network_learns_a_few_pictures(tiny_dataset: Dataset) -> None:
    plain = {"flip": False, "crop": {"kind": "none"}, "colour": 0}
    candidate = make_candidate(augmentation=plain, batch_size=5, learning_rate=0.02)
    dataset = dataclasses.replace(tiny_dataset, validation=tiny_dataset.train)
    trainer = make_trainer(dataset, candidate, max_epochs=40)
    reports = train(trainer, epochs=40)
    assert reports[-1].train_loss < reports[0].train_loss / 4
    assert reports[-1].si_rmse < 0.4 * reports[0].si_rmse


@pytest.mark.gpu
def test_a_gpu_learns_them_too_and_a_cpu_goes_on_from_there(tiny_dataset: Dataset, tmp_path: Path) -> None:
    candidate = make_candidate(batch_size=5, learning_rate=0.02)
    on_gpu = make_trainer(tiny_dataset, candidate, max_epochs=41, device="cuda")
    reports = train(on_gpu, epochs=40)
    assert reports[-1].train_loss < reports[0].train_loss / 2
    on_gpu.save(tmp_path / "checkpoint.pt")
    on_cpu = make_trainer(tiny_dataset, candidate, max_epochs=41)
    on_cpu.restore(tmp_path / "checkpoint.pt")
    assert on_cpu.train_epoch().train_loss == pytest.approx(on_gpu.train_epoch().train_loss, rel=0.1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda settings: settings["kind"])
@pytest.mark.parametrize("cut", [1, 3])
def test_going_on_from_a_checkpoint_equals_never_having_stopped(
    tiny_dataset: Dataset, tmp_path: Path, optimizer: dict[str, Any], cut: int
) -> None:
    candidate = make_candidate(optimizer=optimizer)
    whole = make_trainer(tiny_dataset, candidate)
    reports = [untimed(report) for report in train(whole, epochs=4)]

    first = make_trainer(tiny_dataset, candidate)
    train(first, epochs=cut)
    first.save(tmp_path / "checkpoint.pt")
    second = make_trainer(tiny_dataset, candidate)
    second.restore(tmp_path / "checkpoint.pt")
    assert second.epoch == cut
    assert [untimed(report) for report in train(second, epochs=4 - cut)] == reports[cut:]
    assert same_weights(whole, second)


def test_saving_does_not_disturb_training(tiny_dataset: Dataset, tmp_path: Path) -> None:
    saving, plain = make_trainer(tiny_dataset), make_trainer(tiny_dataset)
    for _ in range(2):
        saving.train_epoch()
        saving.save(tmp_path / "checkpoint.pt")
        plain.train_epoch()
    assert same_weights(saving, plain)


def test_the_seed_alone_fixes_the_weights_and_torchs_own_state_is_left_alone(tiny_dataset: Dataset) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    trainers = [make_trainer(tiny_dataset, seed=seed) for seed in (5, 5, 6)]
    for trainer in trainers:
        trainer.train_epoch()
    assert torch.equal(torch.rand(3), expected)
    assert same_weights(trainers[0], trainers[1])
    assert not same_weights(trainers[0], trainers[2])


def test_reports_count_epochs_and_follow_the_schedule_of_full_fidelity(tiny_dataset: Dataset) -> None:
    candidate = make_candidate()
    trainer = make_trainer(tiny_dataset, candidate, max_epochs=3)
    reports = train(trainer, epochs=3)
    assert [report.epoch for report in reports] == [1, 2, 3]
    recipe = candidate.recipe
    # Ten images in batches of four: two steps an epoch, six in all.
    assert [report.learning_rate for report in reports] == [
        recipe.learning_rate * learning_rate_factor(recipe.schedule, step, 6) for step in (1, 3, 5)
    ]
    assert all(report.seconds > 8 / report.images_per_second > 0 for report in reports)
    assert all(0 <= report.held_up_seconds < report.seconds for report in reports)


def test_there_is_nothing_to_train_after_full_fidelity(tiny_dataset: Dataset) -> None:
    trainer = make_trainer(tiny_dataset, max_epochs=1)
    trainer.train_epoch()
    with pytest.raises(ValueError, match="all 1 epochs of full fidelity are done"):
        trainer.train_epoch()


def test_a_loss_that_is_not_finite_names_epoch_and_step(tiny_dataset: Dataset) -> None:
    trainer = make_trainer(tiny_dataset)
    trainer.train_epoch()
    torch.nn.init.constant_(trainer.network.head.weight, float("nan"))
    with pytest.raises(Diverged, match="in epoch 2, in step 1") as caught:
        trainer.train_epoch()
    assert (caught.value.epoch, caught.value.step) == (2, 1)
    assert trainer.epoch == 1


def test_the_step_at_which_training_broke_is_found_though_losses_are_looked_at_seldom(
    tiny_dataset: Dataset,
) -> None:
    steps = 0

    @contextmanager
    def poison_before_the_third_step() -> Iterator[None]:
        nonlocal steps
        steps += 1
        if steps == 3:
            torch.nn.init.constant_(trainer.network.head.bias, float("inf"))
        yield

    candidate = make_candidate(batch_size=2)
    trainer = make_trainer(tiny_dataset, candidate, on_step=poison_before_the_third_step)
    steps = 0  # preparing the validation images was one
    with pytest.raises(Diverged, match="in epoch 1, in step 3"):
        trainer.train_epoch()


def test_weights_that_break_after_the_last_loss_are_found_in_validation(tiny_dataset: Dataset) -> None:
    steps = 0

    @contextmanager
    def poison_after_the_last_step() -> Iterator[None]:
        nonlocal steps
        steps += 1
        yield
        if steps == 2:
            torch.nn.init.constant_(trainer.network.head.weight, float("nan"))

    trainer = make_trainer(tiny_dataset, on_step=poison_after_the_last_step)
    steps = 0  # preparing the validation images was one
    with pytest.raises(Diverged, match="in epoch 1, in validation"):
        trainer.train_epoch()


def test_a_huge_learning_rate_diverges_and_says_so(tiny_dataset: Dataset) -> None:
    sgd = {"kind": "sgd", "momentum": 0.99, "weight_decay": 1.0}
    schedule = {"kind": "polynomial", "warmup": 0, "power": 0.1}
    candidate = make_candidate(optimizer=sgd, learning_rate=10, schedule=schedule, batch_size=2)
    trainer = make_trainer(tiny_dataset, candidate, max_epochs=60)
    with pytest.raises(Diverged):
        train(trainer, epochs=60)


def test_divergence_crosses_process_borders_whole() -> None:
    copy = pickle.loads(pickle.dumps(Diverged(3, 17)))
    assert (copy.epoch, copy.step, str(copy)) == (3, 17, str(Diverged(3, 17)))


def test_the_hook_is_entered_around_all_heavy_work(tiny_dataset: Dataset) -> None:
    trainers: list[Trainer] = []
    phases = []

    @contextmanager
    def hook() -> Iterator[None]:
        phases.extend("training" if t.network.training else "validation" for t in trainers)
        phases.extend([] if trainers else ["preparation"])
        yield

    trainers.append(make_trainer(tiny_dataset, on_step=hook))
    trainers[0].train_epoch()
    assert phases == ["preparation", "training", "training", "validation"]


def test_time_spent_waiting_for_the_hook_is_counted_apart(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()  # each look at this clock is a second later
    clock = SimpleNamespace(perf_counter=lambda: float(next(looks)))
    monkeypatch.setattr("sweep.training.trainer.time", clock)
    report = make_trainer(tiny_dataset).train_epoch()
    # Looks: the start; two around each of two steps; after training; two around validation; the end.
    assert (report.held_up_seconds, report.seconds) == (3, 8 - 3)
    assert report.images_per_second == 8 / (5 - 2)


def test_training_uses_its_threads_and_gives_the_process_its_own_number_back(tiny_dataset: Dataset) -> None:
    seen = []

    @contextmanager
    def hook() -> Iterator[None]:
        seen.append(torch.get_num_threads())
        yield

    before = torch.get_num_threads()
    threads = 1 if before > 1 else 2
    make_trainer(tiny_dataset, threads=threads, on_step=hook).train_epoch()
    assert set(seen) == {threads}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"max_epochs": 5},
        {"candidate": make_candidate(learning_rate=0.5)},
    ],
    ids=["seed", "max_epochs", "candidate"],
)
def test_a_checkpoint_of_another_run_is_refused(
    tiny_dataset: Dataset, tmp_path: Path, other: dict[str, Any]
) -> None:
    make_trainer(tiny_dataset).save(tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="was saved by another run"):
        make_trainer(tiny_dataset, **other).restore(tmp_path / "checkpoint.pt")


def test_a_checkpoint_of_another_data_set_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    make_trainer(tiny_dataset).save(tmp_path / "checkpoint.pt")
    another = dataclasses.replace(tiny_dataset, fingerprint="f" * 16)
    with pytest.raises(CheckpointError, match="was saved by another run"):
        make_trainer(another).restore(tmp_path / "checkpoint.pt")


def test_images_without_any_known_depth_do_no_harm(tiny_dataset: Dataset) -> None:
    train = make_split(8, 48, 64, seed=1)
    train.depth_mm[::2] = 0
    report = make_trainer(dataclasses.replace(tiny_dataset, train=train)).train_epoch()
    assert 0 < report.train_loss < 100
