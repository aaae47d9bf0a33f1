"""A teacher says what its network says, at the student's size, and never changes."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from teaching import make_teacher, teacher_candidate, teacher_network
from tiny_training import make_candidate

from sweep.data import Dataset
from sweep.hashing import sha256_of
from sweep.models import build_network
from sweep.training.checkpoint import CheckpointError, write_checkpoint
from sweep.training.teacher import Teacher, load_teacher
from sweep.training.trainer import Trainer

CPU = torch.device("cpu")
IMAGES = 255 * torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def test_outputs_are_the_networks_own_brought_to_the_students_size() -> None:
    network = teacher_network().eval()
    with torch.no_grad():
        seen = F.interpolate(IMAGES, size=(48, 64), mode="bilinear", align_corners=False)
        features = network.features(seen)
        log_depth = network(seen)
    whole = make_teacher().teach(IMAGES, (48, 64))
    torch.testing.assert_close(whole.log_depth, log_depth)
    torch.testing.assert_close(whole.features, features)
    small = make_teacher().teach(IMAGES, (16, 16))
    smooth = {"mode": "bilinear", "align_corners": False, "antialias": True}
    torch.testing.assert_close(small.log_depth, F.interpolate(log_depth, size=(16, 16), **smooth))
    torch.testing.assert_close(small.features, F.interpolate(features, size=(16, 16), **smooth))


def test_a_teacher_neither_learns_nor_counts_what_it_sees() -> None:
    network = teacher_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    taught = Teacher(network, "t").teach(IMAGES, (16, 16))
    assert not taught.log_depth.requires_grad
    assert not taught.features.requires_grad
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_trainers_checkpoint_makes_the_teacher_that_was_trained(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    candidate = teacher_candidate()
    trainer = Trainer(candidate, tiny_dataset, max_epochs=2, seed=1, device=CPU, threads=1)
    trainer.train_epoch()
    trainer.save(tmp_path / "teacher.pt")
    teacher = load_teacher(candidate.architecture, tmp_path / "teacher.pt", CPU)
    assert teacher.identity == sha256_of(tmp_path / "teacher.pt")[:16]
    expected = Teacher(trainer.network, "same").teach(IMAGES, (16, 16))
    assert torch.equal(teacher.teach(IMAGES, (16, 16)).log_depth, expected.log_depth)


def test_a_bare_state_dictionary_will_do_and_is_another_teacher(tmp_path: Path) -> None:
    network = teacher_network()
    write_checkpoint(tmp_path / "bare.pt", network.state_dict())
    write_checkpoint(tmp_path / "other.pt", teacher_network(10).state_dict())
    teachers = [
        load_teacher(network.architecture, tmp_path / name, CPU)
        for name in ("bare.pt", "bare.pt", "other.pt")
    ]
    expected = Teacher(network, "same").teach(IMAGES, (16, 16)).features
    torch.testing.assert_close(teachers[0].teach(IMAGES, (16, 16)).features, expected)
    assert teachers[0].identity == teachers[1].identity != teachers[2].identity


def test_weights_of_another_architecture_are_refused_by_name(tmp_path: Path) -> None:
    student = build_network(make_candidate().architecture)
    write_checkpoint(tmp_path / "student.pt", {"network": student.state_dict()})
    with pytest.raises(CheckpointError, match=r"student\.pt is not of the teacher's architecture"):
        load_teacher(teacher_candidate().architecture, tmp_path / "student.pt", CPU)
